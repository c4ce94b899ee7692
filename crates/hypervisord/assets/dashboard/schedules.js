// What is to be exported when: the list, the days to come, and a form for another.

import { h, mount } from './dom.js';
import * as api from './api.js';
import { calendar } from './calendar.js';
import { count, date, distance } from './format.js';
import { clearMarks, refusal } from './export.js';
import { act, adding, badge, check, choice, confirmed, empty, field, kept, load, note, panel, problem, table, title, when } from './widgets.js';

/** Times of each schedule that the calendar asks for. */
const TIMES = 200;
const PREVIEW = 5;
const REST = 300;
const OVERLAP = [['skip', 'leave that run out'], ['queue', 'wait for it'], ['cancel_previous', 'cancel the old one']];
const CATCH_UP = [['none', 'forget it'], ['latest', 'make up for the latest'], ['all', 'make up for all']];

export default async function schedules({ place }) {
  const list = h('div', {});
  const making = h('div', {});
  const again = () => load(list, async () => {
    const all = await api.get(`/schedules?next=${TIMES}`);
    if (all.length === 0) return empty('There are no schedules. A schedule exports the same VMs at times you choose.');
    const firings = all.filter((one) => one.enabled).flatMap((one) =>
      (one.next_runs ?? []).map((run) => ({ name: one.name || one.id, at: new Date(run.planned_at), blackout: run.blackout })));
    return [calendar(firings), table('Schedules', ['Name', 'When', 'Next run', 'Last run', 'State', 'Actions'], all.map((one) => row(one, again)))];
  });
  const add = adding('New schedule', making, createForm, again);
  mount(place, title('Schedules', add), making, list);
  await again();
}

function row(one, again) {
  const path = `/schedules/${api.part(one.id)}`;
  const runs = h('div', {});
  const toggle = one.enabled ? 'disable' : 'enable';
  return [
    h('span', {}, h('span', { class: 'strong' }, one.name || one.id), h('span', { class: 'hint path' }, one.job_template.vm_path)),
    h('span', {}, one.schedule_text, h('span', { class: 'hint path' }, h('code', {}, one.schedule), ` ${one.timezone}`)),
    one.next_run ? h('span', {}, when(one.next_run), h('span', { class: 'hint path' }, date(one.next_run))) : '–',
    h('span', {}, when(one.last_run), one.run_count > 0 && h('span', { class: 'hint path' }, count(one.run_count, 'run')),
      one.missed_count > 0 && h('span', { class: 'hint path' }, `${one.missed_count} missed`)),
    h('span', {}, badge(one.enabled ? 'on' : 'off'), one.disabled_because && h('span', { class: 'reason path' }, one.disabled_because),
      one.consecutive_failures > 0 && h('span', { class: 'reason path' }, `failed ${one.consecutive_failures} times in a row`)),
    h('div', { class: 'actions' },
      act('Run now', async () => {
        const run = await api.post(`${path}/trigger`);
        await again();
        return `Started: ${count(run.job_ids.length, 'job')}.`;
      }, { name: `Run now: ${one.id}` }),
      act(one.enabled ? 'Switch off' : 'Switch on', async () => {
        await api.post(`${path}/${toggle}`);
        await again();
      }, { role: 'admin', kind: 'quiet', name: `${one.enabled ? 'Switch off' : 'Switch on'}: ${one.id}` }),
      h('a', { class: 'button quiet', href: `#/packages${api.query({ schedule: one.id })}`, 'aria-label': `Packages of ${one.id}` }, 'Packages'),
      one.retention && h('button', { type: 'button', class: 'quiet', 'aria-label': `Retention of ${one.id}`, onclick: () => load(runs, () => retention(path)) }, 'Retention'),
      h('button', { type: 'button', class: 'quiet', 'aria-label': `Runs of ${one.id}`, onclick: () => load(runs, () => history(path)) }, 'Runs'),
      act('Remove', async () => {
        if (!(await confirmed(`Remove the schedule ${one.name || one.id}? Its packages stay.`, 'Remove it'))) return;
        await api.remove(path);
        await again();
        return 'The schedule is removed.';
      }, { role: 'admin', kind: 'danger-quiet', name: `Remove ${one.id}` }),
      runs),
  ];
}

async function history(path) {
  const { runs } = await api.get(`${path}/runs?limit=10`);
  if (runs.length === 0) return h('p', { class: 'hint' }, 'It has not run yet.');
  return h('ul', { class: 'plain' }, runs.map((run) => h('li', {}, badge(run.status), ' ', date(run.planned_at), ' ',
    run.job_ids.map((job, index) => [h('a', { href: `#/jobs/${api.part(job)}` }, run.job_ids.length > 1 ? `job ${index + 1}` : 'job'), ' ']),
    run.reason && h('span', { class: 'reason' }, run.reason))));
}

/** What the rules would remove, and why. */
async function retention(path) {
  const { remove, keep } = await api.get(`${path}/retention`);
  const line = (word) => (one) => h('li', {}, badge(word === 'goes' ? 'cancelled' : 'completed', word), ' ', h('code', {}, one.path), ' ', h('span', { class: 'reason' }, one.why));
  if (remove.length + keep.length === 0) return h('p', { class: 'hint' }, 'It has no packages.');
  return [h('p', { class: 'hint' }, `${count(remove.length, 'package')} would go.`),
    h('ul', { class: 'plain' }, remove.map(line('goes')), keep.map(line('stays')))];
}

function createForm(done, close) {
  const shown = h('div', { class: 'preview', 'aria-live': 'polite' });
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
  const form = h('form', { class: 'form', novalidate: true },
    h('div', { class: 'pair' },
      field('Identifier', h('input', { name: 'id', required: true, placeholder: 'daily-backup', autocomplete: 'off' }), 'letters, digits, dots and dashes'),
      field('Name', h('input', { name: 'name', placeholder: 'Daily backup' }))),
    h('div', { class: 'pair' },
      field('When', h('input', { name: 'schedule', required: true, value: '0 2 * * *', autocomplete: 'off', spellcheck: 'false' }),
        'cron: minute, hour, day of the month, month, day of the week'),
      field('Time zone', h('input', { name: 'timezone', value: zone, autocomplete: 'off', spellcheck: 'false' }))),
    shown,
    h('div', { class: 'pair' },
      field('VMs', h('input', { name: 'vm_path', required: true, placeholder: '/DC0/vm/prod/*', autocomplete: 'off', spellcheck: 'false' }), 'a path, an id or a pattern'),
      field('Output directory', h('input', { name: 'output_dir', required: true, value: kept.get('output_dir'), placeholder: '/srv/exports', autocomplete: 'off', spellcheck: 'false' }))),
    h('div', { class: 'pair' },
      field('Format', choice('format', api.me.can.formats, 'ova')),
      field('Compress the disks', check('compress'))),
    h('div', { class: 'pair' },
      field('If the last run still goes on', choice('overlap', OVERLAP, 'skip')),
      field('If the daemon was down at the time', choice('catch_up', CATCH_UP, 'latest'))),
    field('Replace packages of the same name', check('overwrite', true), 'each run writes the same name'));
  const verdict = h('div', { 'aria-live': 'polite' });
  const save = h('button', { class: 'primary' }, 'Create the schedule');
  form.append(verdict, h('div', { class: 'actions' }, save, h('button', { type: 'button', class: 'quiet', onclick: close }, 'Close')));
  const times = () => ({ schedule: form.elements.schedule.value.trim(), timezone: form.elements.timezone.value.trim() || undefined });
  const preview = async () => {
    if (times().schedule === '') return mount(shown);
    try {
      const answer = await api.post(`/schedules/preview?n=${PREVIEW}`, times());
      mount(shown, h('p', {}, h('strong', {}, answer.schedule_text), ` (${answer.timezone})`),
        h('ol', {}, answer.next.map((time) => h('li', {}, `${date(time.planned_at)}, ${distance(time.planned_at)}`))));
    } catch (error) {
      mount(shown, problem(error));
    }
  };
  let timer;
  form.addEventListener('input', (event) => {
    if (!['schedule', 'timezone'].includes(event.target.name)) return;
    clearTimeout(timer);
    timer = setTimeout(preview, REST);
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    clearMarks(form);
    save.disabled = true;
    const { elements } = form;
    try {
      const made = await api.post('/schedules', {
        id: elements.id.value.trim() || undefined, name: elements.name.value.trim() || undefined, ...times(),
        overlap: elements.overlap.value, catch_up: elements.catch_up.value,
        job_template: {
          vm_path: elements.vm_path.value.trim(), output_dir: elements.output_dir.value.trim(),
          format: elements.format.value, compress: elements.compress.checked, overwrite: elements.overwrite.checked,
        },
      });
      note(`The schedule ${made.id} runs ${distance(made.next_run)}: ${date(made.next_run)}.`);
      done();
    } catch (error) {
      mount(verdict, refusal(error, form));
    } finally {
      save.disabled = false;
    }
  });
  preview();
  return panel('New schedule', form);
}
