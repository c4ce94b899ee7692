// What runs, how far, what failed and why, and what comes next.

import { h, mount } from './dom.js';
import * as api from './api.js';
import { count, date, duration } from './format.js';
import { follow, followedRows, jobTable } from './jobs.js';
import { listen } from './live.js';
import { againButton, linkTo } from './work.js';
import { empty, load, panel, title, when } from './widgets.js';

/** Failures this young, in hours, are shown first. */
const RECENT_HOURS = 24;
const REFRESH = 30_000;

export default async function overview({ place, onLeave }) {
  const tiles = h('div', { class: 'tiles' });
  const failed = h('div', {});
  const running = h('div', {});
  const upcoming = h('div', {});
  mount(place, title('Overview', api.may('operator') && h('a', { class: 'button primary', href: '#/vms' }, 'Export a VM')),
    api.me.can.providers.length === 0 && h('div', { class: 'problem' },
      h('p', {}, h('strong', {}, 'No vCenter is configured.')),
      h('p', {}, 'Set ', h('code', {}, 'vcenter_url'), ', ', h('code', {}, 'username'), ' and ', h('code', {}, 'password_file'),
        ' in the daemon’s configuration and restart it; ', h('code', {}, 'hypervisord check-config'), ' shows what it understood.')),
    tiles, failed, panel('Under way', running), upcoming);
  const rows = new Map();
  const counts = async () => mount(tiles, tilesOf(await api.get('/stats'), await api.get('/status')));
  const failures = async () => mount(failed, failuresOf(await api.get('/jobs?status=failed&limit=5')));
  const work = () => load(running, async () => {
    const page = await api.get('/jobs?status=running,pending&limit=20');
    rows.clear();
    for (const [id, row] of followedRows(page.jobs, all)) rows.set(id, row);
    if (rows.size === 0) return empty('Nothing runs and nothing waits.');
    return [jobTable('Jobs that run or wait', rows), page.total > rows.size
      && h('p', {}, h('a', { href: '#/jobs?status=running,pending' }, `All ${page.total} jobs under way`))];
  });
  const all = () => Promise.all([counts(), failures(), work()]);
  follow(rows, onLeave, all);
  onLeave(listen((kind) => {
    if (['job.completed', 'job.failed', 'job.cancelled'].includes(kind)) all().catch(() => {});
  }));
  const timer = setInterval(() => { if (!document.hidden) counts().catch(() => {}); }, REFRESH);
  onLeave(() => clearInterval(timer));
  await all();
  if (api.has('schedules')) {
    mount(upcoming, panel('Next schedules', await nextRuns()));
  }
}

function tilesOf(stats, status) {
  const share = stats.success_rate === null ? '–' : `${Math.floor(stats.success_rate * 100)} %`;
  const tile = (word, value, href) => h('a', { class: `tile ${value > 0 ? word : ''}`, href }, h('span', { class: 'figure' }, value), h('span', {}, word));
  return [
    tile('running', stats.running_jobs, '#/jobs?status=running,pending'),
    tile('waiting', stats.pending_jobs, '#/jobs?status=running,pending'),
    tile('completed', stats.completed_jobs, '#/jobs?status=completed'),
    tile('failed', stats.failed_jobs, '#/jobs?status=failed'),
    h('div', { class: 'tile' }, h('span', { class: 'figure' }, share), h('span', {}, 'success rate')),
    h('div', { class: 'tile' }, h('span', { class: 'figure' }, duration(status.uptime_seconds)), h('span', {}, 'up')),
    status.paused && h('p', { class: 'problem' }, 'This daemon is paused: it begins nothing new.'),
  ];
}

function failuresOf(page) {
  const since = Date.now() - RECENT_HOURS * 3600_000;
  const recent = page.jobs.filter((job) => new Date(job.completed_at) > since);
  if (recent.length === 0) return null;
  const section = panel(`Failed in the last ${RECENT_HOURS} hours`, h('ul', { class: 'failures' }, recent.map((job) => h('li', {},
    h('div', {}, linkTo(job), ' ', h('span', { class: 'hint' }, when(job.completed_at)), h('p', { class: 'reason' }, job.error)),
    againButton(job)))),
  page.total > recent.length && h('p', {}, h('a', { href: '#/jobs?status=failed' }, `All ${count(page.total, 'failed job')}`)));
  section.classList.add('bad');
  return section;
}

async function nextRuns() {
  const schedules = (await api.get('/schedules')).filter((schedule) => schedule.enabled && schedule.next_run);
  if (schedules.length === 0) {
    return empty('No schedule is on.', h('a', { class: 'button', href: '#/schedules' }, 'Make one'));
  }
  schedules.sort((a, b) => new Date(a.next_run) - new Date(b.next_run));
  return h('ul', { class: 'plain' }, schedules.slice(0, 6).map((schedule) => h('li', {},
    h('a', { href: '#/schedules', class: 'strong' }, schedule.name || schedule.id), ' ',
    when(schedule.next_run), h('span', { class: 'hint' }, ` · ${date(schedule.next_run)} · ${schedule.job_template.vm_path}`))));
}
