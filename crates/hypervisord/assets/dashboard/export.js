// The form that makes jobs, and what would come of them.

import { h, mount } from './dom.js';
import * as api from './api.js';
import { bytes, duration, leaf } from './format.js';
import { announce, check, choice, field, kept, problem, title } from './widgets.js';

const FORMATS = {
  ova: 'OVA: one file, for any importer', ovf: 'OVF: a directory with descriptor and disks',
  vmdk: 'VMDK: the disks alone', qcow2: 'qcow2: for KVM, sparse', raw: 'raw: plain disk images, sparse',
};
const POWER = { snapshot: 'export a running VM from a temporary snapshot', keep: 'leave it alone; fail if it runs' };
const VERIFY = { structure: 'as it is written', full: 'read every byte again' };

const worded = (values, words) => values.map((value) => [value, words[value] ?? value]);

export default async function exporting({ place, asked }) {
  const vms = asked.getAll('vm');
  const provider = asked.get('provider');
  const { can } = api.me;
  const form = h('form', { class: 'panel form', novalidate: true },
    vms.length > 0
      ? h('div', { class: 'field' }, h('h2', {}, 'What'), h('ul', { class: 'chosen' }, vms.map((vm) => h('li', {}, h('strong', {}, leaf(vm)), ' ', h('span', { class: 'hint' }, vm)))))
      : field('VM', h('input', { name: 'vm_path', required: true, placeholder: '/DC0/vm/prod/web01' }),
        'an inventory path, an id such as vm-101, or a pattern such as /DC0/vm/prod/*, which makes one job a VM'),
    field('Output directory', h('input', { name: 'output_dir', required: true, value: asked.get('output_dir') ?? kept.get('output_dir'), placeholder: '/srv/exports', autocomplete: 'off', spellcheck: 'false' }),
      'on the daemon’s machine; it must exist'),
    h('div', { class: 'pair' },
      field('Format', choice('format', worded(order(can.formats), FORMATS), 'ova')),
      field('Check the package', choice('verify', worded(can.verify, VERIFY), 'structure'))),
    h('div', { class: 'pair' },
      field('Compress the disks anew', check('compress'), 'smaller, on all cores; every importer reads it'),
      field('Level', h('input', { type: 'number', name: 'compression_level', min: 0, max: 9, value: 6 }), '1 is fast, 9 is small')),
    h('details', {}, h('summary', {}, 'More options'),
      field('Running VMs', choice('power', worded(can.power, POWER), 'snapshot')),
      field('Ask the guest to flush its file systems first', check('quiesce')),
      field('Replace a package of the same name', check('overwrite')),
      field('Leave vendor extensions out of the descriptor', check('portable')),
      field('Leave the OVF directory beside the OVA', check('keep_ovf')),
      h('div', { class: 'pair' },
        field('Compress the archive as a whole', choice('archive_compression', [['', 'no'], ...can.archive_compression], ''), 'for cold storage; only with OVA'),
        field('Digest of the manifest', choice('manifest_digest', can.manifest_digests, 'sha256'))),
      h('div', { class: 'pair' },
        vms.length < 2 && field('Package name', h('input', { name: 'package_name', maxlength: 80 }), 'the VM’s name if empty'),
        field('Priority', h('input', { type: 'number', name: 'priority', value: 0 }), 'higher goes first')),
      field('Name of the job', h('input', { name: 'name' }), 'for people')));
  const verdict = h('div', { 'aria-live': 'polite', id: 'verdict' });
  const submit = h('button', { class: 'primary' }, vms.length > 1 ? `Export ${vms.length} VMs` : 'Export');
  const look = api.has('validation') && h('button', { type: 'button', onclick: () => preflight() }, 'Check first');
  form.append(verdict, h('div', { class: 'actions' }, submit, look, h('a', { class: 'button quiet', href: '#/vms' }, 'Back to the VMs')));
  mount(place, title(vms.length === 1 ? `Export ${leaf(vms[0])}` : 'Export'), form);

  const preflight = async () => {
    mount(verdict, h('p', { class: 'hint' }, 'Looking at the VM and at the directory…'));
    try {
      mount(verdict, foretold(await api.post('/jobs/validate', body(form, vms, provider))));
    } catch (error) {
      mount(verdict, refusal(error, form));
    }
  };
  // A request that is sent again, by a second click or after a lost answer, makes no second job.
  let key = null;
  form.addEventListener('input', () => { key = null; });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    clearMarks(form);
    key ??= crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
    try {
      const answer = await api.post('/jobs/submit', body(form, vms, provider), { 'Idempotency-Key': key });
      kept.set('output_dir', form.elements.output_dir.value.trim());
      if (answer.rejected > 0) {
        mount(verdict, problem(new api.Problem(422, {
          detail: `${answer.accepted} accepted, ${answer.rejected} refused`, errors: answer.errors,
        })), h('a', { class: 'button', href: '#/jobs' }, 'Show the jobs'));
        return;
      }
      location.hash = answer.job_ids.length === 1 ? `#/jobs/${api.part(answer.job_ids[0])}` : '#/jobs';
    } catch (error) {
      key = null;
      mount(verdict, refusal(error, form));
    } finally {
      submit.disabled = false;
    }
  });
  if (look && vms.length > 0 && form.elements.output_dir.value !== '') await preflight();
}

/** OVA first, as most want it. */
const order = (formats) => Object.keys(FORMATS).filter((format) => formats.includes(format));

/** The form as a request: only what differs from the daemon's own defaults. */
export function body(form, vms, provider) {
  const { elements } = form;
  const text = (name) => elements[name]?.value.trim() || undefined;
  const on = (name) => elements[name].checked || undefined;
  const job = {
    output_dir: text('output_dir') ?? '', format: text('format'), verify: text('verify'), compress: on('compress'),
    compression_level: Number(elements.compression_level.value), overwrite: on('overwrite'), portable: on('portable'),
    cleanup_ovf: elements.keep_ovf.checked ? false : undefined, archive_compression: text('archive_compression'),
    manifest_digest: text('manifest_digest'), package_name: text('package_name'), name: text('name'),
    priority: Number(elements.priority.value) || undefined, provider: provider ?? undefined,
    options: { power: text('power'), quiesce: elements.quiesce.checked },
  };
  const paths = vms.length > 0 ? vms : [text('vm_path') ?? ''];
  const jobs = paths.map((vm_path) => ({ vm_path, ...job }));
  return jobs.length === 1 ? jobs[0] : { jobs };
}

function foretold(answer) {
  const jobs = answer.jobs.map((job) => h('li', {},
    h('strong', {}, job.valid ? '✓ ' : '✕ ', leaf(job.vm_path)),
    h('span', { class: 'hint' }, [
      job.expected_bytes !== null && ` about ${bytes(job.expected_bytes)}`,
      job.expected_seconds !== null && `, ${duration(job.expected_seconds)}`].filter(Boolean).join('')),
    h('ul', {}, [
      ...(job.errors ?? []).map((error) => h('li', { class: 'error' }, h('code', {}, error.field), ' ', error.message)),
      ...job.findings.map((finding) => h('li', { class: finding.level }, h('strong', {}, `${finding.level}: `), finding.message,
        finding.advice && h('span', { class: 'hint' }, ` ${finding.advice}`))),
    ])));
  announce(answer.valid ? 'The export can go ahead.' : 'The export would fail.');
  return h('section', { class: `verdict ${answer.valid ? 'good' : 'bad'}`, 'aria-label': 'What the check found' },
    h('h2', {}, answer.valid ? 'Nothing stands in its way' : 'It would fail as it is'), h('ul', {}, jobs));
}

/** A refusal; the fields it names are marked, and the first gets the focus. */
export function refusal(error, form) {
  let first = null;
  for (const { field: path } of error.fields ?? []) {
    const element = form.elements[path.split('.').pop().replace(/^jobs\[\d+\]$/, '')];
    if (!(element instanceof HTMLElement)) continue;
    element.setAttribute('aria-invalid', 'true');
    first ??= element;
  }
  first?.closest('details')?.setAttribute('open', '');
  first?.focus();
  return problem(error);
}

export function clearMarks(form) {
  for (const element of form.elements) element.removeAttribute('aria-invalid');
}
