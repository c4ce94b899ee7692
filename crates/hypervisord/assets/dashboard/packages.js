// What has been exported, whether it is still whole, and its removal.

import { h, mount } from './dom.js';
import * as api from './api.js';
import { bytes, date, leaf } from './format.js';
import { packagePanel } from './job.js';
import { listen } from './live.js';
import { act, badge, confirmed, copyable, empty, facts, field, load, note, panel, table, title, when } from './widgets.js';

const PAGE = 50;
const FILTERS = [['present', 'There'], ['removed', 'Removed'], ['replaced', 'Replaced'], ['', 'All']];
const STATES = { present: ['completed', 'there'], removing: ['running', 'being removed'], removed: ['cancelled', 'removed'], replaced: ['cancelled', 'replaced'] };

export default async function packages({ place, asked, onLeave }) {
  const state = asked.get('state') ?? 'present';
  const [vm, schedule] = [asked.get('vm') ?? '', asked.get('schedule') ?? ''];
  const list = h('div', {});
  let shown = [];
  const fetchPage = async (before) => {
    const page = await api.get(`/packages${api.query({ state, vm, schedule, limit: PAGE, before })}`);
    shown = before === undefined ? page.packages : [...shown, ...page.packages];
    if (shown.length === 0) return nothing(state, vm, schedule);
    return [table('Packages, newest first', ['VM', 'Package', 'Size', 'State', 'Finished', 'Actions'], shown.map((one) => row(one, again))),
      page.next && h('button', { type: 'button', onclick: () => load(list, () => fetchPage(page.next)) }, 'Show older ones')];
  };
  const again = () => load(list, () => fetchPage());
  const link = (value) => `#/packages${api.query({ state: value === 'present' ? '' : value || 'present,replaced,removing,removed', vm, schedule })}`;
  const current = (value) => value === state || (value === '' && state.includes(','));
  mount(place, title('Packages'),
    h('nav', { class: 'tabs', 'aria-label': 'Packages by state' }, FILTERS.map(([value, word]) =>
      h('a', { href: link(value), 'aria-current': current(value) ? 'true' : undefined }, word))),
    search(state, vm, schedule), list);
  onLeave(listen((kind) => {
    if (['reopened', 'package.removed', 'job.completed'].includes(kind)) again();
  }));
  await again();
}

function search(state, vm, schedule) {
  const form = h('form', { class: 'filters', role: 'search' },
    field('VM', h('input', { name: 'vm', value: vm, placeholder: 'web01 or /DC0/vm/prod/web01', autocomplete: 'off', spellcheck: 'false' })),
    field('Schedule', h('input', { name: 'schedule', value: schedule, placeholder: 'daily-backup', autocomplete: 'off', spellcheck: 'false' })),
    h('button', {}, 'Show'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const { elements } = form;
    location.hash = `#/packages${api.query({ state: state === 'present' ? '' : state, vm: elements.vm.value.trim(), schedule: elements.schedule.value.trim() })}`;
  });
  return form;
}

function nothing(state, vm, schedule) {
  if (state !== 'present' || vm !== '' || schedule !== '') {
    return empty('No package is like that.', h('a', { class: 'button', href: '#/packages' }, 'Show those that are there'));
  }
  return empty('There are no packages yet.', h('a', { class: 'button primary', href: '#/vms' }, 'Export a VM'));
}

function stateOf(one) {
  const [kind, word] = STATES[one.state] ?? ['', one.state];
  const checked = one.state === 'present' && one.verification;
  return h('span', {},
    checked && !checked.ok ? badge('failed', 'faulty') : badge(kind, word),
    checked && h('span', { class: 'hint path' }, 'checked ', when(one.verified_at)),
    checked?.fault && h('span', { class: 'reason path' }, checked.fault),
    one.reason && h('span', { class: 'hint path' }, one.reason));
}

function row(one, again) {
  return [
    h('span', {}, h('a', { href: `#/packages/${api.part(one.id)}`, class: 'strong' }, one.vm_name),
      one.schedule_id && h('span', { class: 'hint path' }, one.schedule_id)),
    copyable(one.path), bytes(one.total_size), stateOf(one), when(one.completed_at),
    h('div', { class: 'actions' },
      h('a', { class: 'button', href: `#/packages/${api.part(one.id)}`, 'aria-label': `Open ${one.path}` }, 'Open'),
      one.state === 'present' && act('Verify', async () => {
        const report = await api.post('/packages/verify', { id: one.id, level: 'structure' });
        await again();
        if (report.ok) return `${one.path} is whole.`;
        note(`${one.path} is faulty: ${report.faults[0]?.message ?? 'it is not what its job wrote'}`, 'bad');
      }, { name: `Verify ${one.path}` }),
      removeButton(one, again)),
  ];
}

function removeButton(one, done) {
  if (!['present', 'removing'].includes(one.state)) return null;
  return act('Remove', async () => {
    if (!(await confirmed(`Remove ${leaf(one.path)}, made ${date(one.completed_at)}? Its files are deleted.`, 'Remove it'))) return;
    await api.remove(`/packages/${api.part(one.id)}`);
    await done();
    return 'The package is removed.';
  }, { kind: 'danger-quiet', name: `Remove ${one.path}` });
}

/** One package: `#/packages/ID`. */
export async function onePackage({ place, rest, onLeave }) {
  const path = `/packages/${api.part(rest)}`;
  const shown = h('div', {});
  mount(place, title('Package'), shown);
  const again = () => load(shown, async () => {
    const one = await api.get(path);
    return [
      panel(one.vm_name, facts([
        ['State', stateOf(one)], ['VM', h('code', {}, one.vm_path)], ['Connection', one.provider], ['Format', one.format],
        ['Job', h('a', { href: `#/jobs/${api.part(one.id)}` }, one.job_name ?? one.id)],
        ['Schedule', one.schedule_id && h('a', { href: `#/packages${api.query({ schedule: one.schedule_id })}` }, one.schedule_id)],
        ['Finished', date(one.completed_at)],
        ['Last checked', one.verification && `${date(one.verified_at)} (${one.verification.level})`],
      ]), h('div', { class: 'actions' }, removeButton(one, again))),
      packagePanel(one.result, one.state === 'present' ? one.id : null),
    ];
  });
  onLeave(listen((kind) => {
    if (['reopened', 'package.removed'].includes(kind)) again();
  }));
  await again();
}
