// All jobs, newest first; those that run move.

import { h, mount } from './dom.js';
import * as api from './api.js';
import { bytes, duration } from './format.js';
import { listen } from './live.js';
import { againButton, called, cancelButton, isOver, linkTo, phase, progressWords, taken } from './work.js';
import { badge, bar, empty, load, table, title, when } from './widgets.js';

const PAGE = 50;
const FILTERS = [['', 'All'], ['running,pending', 'Under way'], ['failed', 'Failed'], ['completed', 'Completed'], ['cancelled', 'Cancelled']];
const HEADS = ['VM', 'State', 'Progress', 'Began', 'Took', 'Actions'];

/** Rows that follow their jobs. */
export function followedRows(jobs, changed) {
  const rows = new Map();
  for (const job of jobs) rows.set(job.definition.id, row(job, changed));
  return rows;
}

function row(job, changed) {
  const cells = HEADS.map((head) => h('td', { role: 'cell', 'data-label': head }));
  const element = h('tr', { role: 'row' }, cells);
  const moving = bar(`Progress of ${called(job)}`);
  let shown = null;
  const draw = (now) => {
    moving.set(now.progress.percent_complete, progressWords(now.progress));
    if (shown === now.status) return;
    shown = now.status;
    const told = {
      running: [moving.element],
      pending: [h('span', { class: 'hint' }, phase(now.progress))],
      failed: [h('span', { class: 'reason' }, now.error)],
      completed: [bytes(now.result?.total_size)],
    };
    const contents = [
      linkTo(now), badge(now.status), told[now.status] ?? '', when(now.started_at ?? now.definition.created_at),
      now.status === 'running' ? '' : duration(taken(now)),
      isOver(now) ? againButton(now) : cancelButton(now, changed),
    ];
    cells.forEach((cell, index) => mount(cell, contents[index]));
  };
  draw(job);
  return { element, draw, progress: (progress) => moving.set(progress.percent_complete, progressWords(progress)) };
}

/** Keeps rows at what their jobs are, until `onLeave`. */
export function follow(rows, onLeave, onNew) {
  const refresh = async (id) => {
    const known = rows.get(id);
    if (known === undefined) return onNew();
    try {
      known.draw(await api.get(`/jobs/${api.part(id)}`));
    } catch {
      // The next event, or the stream's return, brings it up to date.
    }
  };
  onLeave(listen((kind, id, data) => {
    if (kind === 'reopened') onNew();
    else if (kind === 'job.progress') rows.get(id)?.progress(data.progress);
    else if (kind.startsWith('job.')) refresh(id);
  }));
}

export const jobTable = (caption, rows) => table(caption, HEADS, [...rows.values()].map((row) => row.element));

export default async function jobs({ place, asked, onLeave }) {
  const status = asked.get('status') ?? '';
  const list = h('div', {});
  const filters = h('nav', { class: 'tabs', 'aria-label': 'Jobs by state' }, FILTERS.map(([value, word]) =>
    h('a', { href: `#/jobs${value && `?status=${value}`}`, 'aria-current': value === status ? 'true' : undefined }, word)));
  mount(place, title('Jobs', api.may('operator') && h('a', { class: 'button primary', href: '#/vms' }, 'Export a VM')), filters, list);
  const rows = new Map();
  let next = null;
  const fetchPage = async (before) => {
    const page = await api.get(`/jobs${api.query({ status, limit: PAGE, before })}`);
    next = page.next;
    for (const [id, row] of followedRows(page.jobs, again)) rows.set(id, row);
    if (rows.size === 0) return nothing(status);
    const more = next && h('button', { type: 'button', onclick: () => load(list, () => fetchPage(next)) }, 'Show older ones');
    return [h('p', { class: 'hint' }, `${rows.size} of ${page.total}`), jobTable('Jobs, newest first', rows), more];
  };
  const again = () => {
    rows.clear();
    return load(list, () => fetchPage());
  };
  follow(rows, onLeave, again);
  await again();
}

function nothing(status) {
  if (status !== '') return empty('No job is in this state.', h('a', { class: 'button', href: '#/jobs' }, 'Show all jobs'));
  return empty('There are no jobs yet. Choose a VM to export it.', h('a', { class: 'button primary', href: '#/vms' }, 'Choose a VM'));
}
