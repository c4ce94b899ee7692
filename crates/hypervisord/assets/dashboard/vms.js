// The inventory, and what to export of it.

import { h, mount } from './dom.js';
import * as api from './api.js';
import { bytes, count } from './format.js';
import { choice, empty, field, load, table, title } from './widgets.js';

const PAGE = 100;
/** How long typing must rest before the list is asked for. */
const REST = 300;
const POWER = [['', 'any'], ['on', 'on'], ['off', 'off'], ['suspended', 'suspended']];

export default async function vms({ place, asked }) {
  const name = h('input', { type: 'search', name: 'name', placeholder: 'web*', value: asked.get('name') ?? '', autocomplete: 'off' });
  const folder = h('input', { name: 'folder', placeholder: '/DC0/vm/prod', value: asked.get('folder') ?? '', autocomplete: 'off' });
  const power = choice('power_state', POWER, asked.get('power_state') ?? '');
  const providers = api.me.can.providers.map((provider) => provider.name);
  const provider = choice('provider', [['', 'all'], ...providers], asked.get('provider') ?? '');
  const list = h('div', { 'aria-live': 'polite' });
  const chosen = new Map();
  const exportChosen = h('a', { class: 'button primary', hidden: true }, '');
  const form = h('form', { class: 'filters', role: 'search' },
    field('Name', name, 'a part, or a pattern with * and ?'), field('Folder', folder), field('Power', power),
    providers.length > 1 && field('Connection', provider));
  mount(place, title('VMs', exportChosen), form, list);
  const choose = (vm, on) => {
    if (on) chosen.set(`${vm.provider}/${vm.id}`, vm);
    else chosen.delete(`${vm.provider}/${vm.id}`);
    exportChosen.hidden = chosen.size === 0;
    exportChosen.textContent = `Export ${count(chosen.size, 'VM')}`;
    exportChosen.href = exportLink([...chosen.values()]);
  };
  const show = (offset = 0) => load(list, async () => {
    const text = name.value.trim();
    const page = await api.get(`/vms${api.query({
      name: text === '' || /[*?[]/.test(text) ? text : `*${text}*`, folder: folder.value.trim(),
      power_state: power.value, provider: provider.value, limit: PAGE, offset: offset || '',
    })}`);
    if (page.vms.length === 0) return nothing();
    return [
      h('p', { class: 'hint' }, `${offset + 1} to ${offset + page.vms.length} of ${page.total}`),
      table('VMs', ['Name', 'Power', 'Disks', 'Storage', 'Host', 'Actions'], page.vms.map((vm) => row(vm, chosen, choose))),
      h('div', { class: 'actions' },
        offset > 0 && h('button', { type: 'button', onclick: () => show(Math.max(0, offset - PAGE)) }, 'Previous'),
        page.next_offset !== null && h('button', { type: 'button', onclick: () => show(page.next_offset) }, 'Next')),
    ];
  });
  let timer;
  form.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(show, REST);
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    show();
  });
  await show();
}

function row(vm, chosen, choose) {
  const mark = h('input', {
    type: 'checkbox', 'aria-label': `Choose ${vm.name}`, checked: chosen.has(`${vm.provider}/${vm.id}`),
    onchange: (event) => choose(vm, event.target.checked),
  });
  const words = [vm.guest_os, vm.cpus && `${vm.cpus} CPU`, vm.memory_bytes && bytes(vm.memory_bytes)].filter(Boolean).join(' · ');
  return [
    h('span', { class: 'vm' }, api.may('operator') && mark,
      h('span', {}, h('span', { class: 'strong' }, vm.name), h('span', { class: 'hint path' }, vm.path), words && h('span', { class: 'hint path' }, words))),
    h('span', { class: `power ${vm.power_state}` }, vm.power_state), vm.disks ?? '–', bytes(vm.storage_used_bytes), vm.host ?? '–',
    api.may('operator') && h('a', { class: 'button', href: exportLink([vm]), 'aria-label': `Export ${vm.name}` }, 'Export'),
  ];
}

function exportLink(vms) {
  const query = new URLSearchParams();
  for (const vm of vms) query.append('vm', vm.path);
  const providers = new Set(vms.map((vm) => vm.provider));
  if (providers.size === 1) query.set('provider', [...providers][0]);
  return `#/export?${query}`;
}

function nothing() {
  if (api.me.can.providers.length === 0) {
    return empty('No vCenter is configured, so there are no VMs. Set vcenter_url in the daemon’s configuration and restart it.');
  }
  return empty('No VM matches. Clear the filter; if the list stays empty, the account at vCenter may not see any VM (it needs System.View).',
    h('a', { class: 'button', href: `#/vms?all=${Date.now()}` }, 'Clear the filter'));
}
