// What has been exported, and whether it is still whole.

import { h, mount } from './dom.js';
import * as api from './api.js';
import { bytes } from './format.js';
import { packagePanel } from './job.js';
import { linkTo } from './work.js';
import { copyable, empty, load, note, act, table, title, when } from './widgets.js';

const PAGE = 50;

export default async function packages({ place }) {
  const list = h('div', {});
  const opened = h('div', {});
  const open = (job) => {
    mount(opened, packagePanel(job.result));
    opened.firstChild.setAttribute('tabindex', '-1');
    opened.firstChild.focus();
  };
  const shown = [];
  const fetchPage = async (before) => {
    const page = await api.get(`/jobs${api.query({ status: 'completed', limit: PAGE, before })}`);
    shown.push(...page.jobs.filter((job) => job.result));
    if (shown.length === 0) return empty('There are no packages yet.', h('a', { class: 'button primary', href: '#/vms' }, 'Export a VM'));
    return [table('Packages, newest first', ['VM', 'Package', 'Size', 'Checksum', 'Finished', 'Actions'], shown.map((job) => row(job, open))),
      page.next && h('button', { type: 'button', onclick: () => load(list, () => fetchPage(page.next)) }, 'Show older ones')];
  };
  mount(place, title('Packages'), h('p', { class: 'hint' }, 'What completed jobs have written. A file that was moved or removed since is still listed; Verify says so.'), opened, list);
  await load(list, () => fetchPage());
}

function row(job, open) {
  const { result } = job;
  return [
    linkTo(job), copyable(result.ovf_path), bytes(result.total_size), h('code', { title: result.checksum }, `${result.checksum.slice(0, 12)}…`),
    when(job.completed_at),
    h('div', { class: 'actions' },
      h('button', { type: 'button', 'aria-label': `Open ${result.ovf_path}`, onclick: () => open(job) }, 'Open'),
      act('Verify', async () => {
        const report = await api.post('/packages/verify', { path: result.ovf_path, level: 'structure' });
        if (report.ok) return `${result.ovf_path} is whole.`;
        note(`${result.ovf_path} is faulty: ${report.faults[0].message}`, 'bad');
      }, { name: `Verify ${result.ovf_path}` })),
  ];
}
