// One job: how far, how fast, what it says, what came of it.

import { h, mount, say } from './dom.js';
import * as api from './api.js';
import { bytes, clock, date, duration, percent } from './format.js';
import { listen, speedOf } from './live.js';
import { drawSpeed } from './speed.js';
import { againButton, called, cancelButton, isOver, phase, progressWords, taken } from './work.js';
import { act, announce, badge, bar, copyable, facts, panel, problem, table, title } from './widgets.js';

/** How often the log of a running job is read. */
const LOG_PAUSE = 2000;
/** Every so many percent, a screen reader is told. */
const STEP = 25;

export default async function job({ place, rest, onLeave }) {
  const path = `/jobs/${api.part(rest)}`;
  let now = await api.get(path);
  const head = h('div', {});
  const outcome = h('div', {});
  const progress = progressPanel(called(now));
  const lines = logPanel(`${path}/logs`);
  const about = h('div', {});
  mount(place, head, outcome, progress.element, lines.element, about);
  const draw = () => {
    mount(head, title(called(now),
      isOver(now) ? againButton(now, { kind: now.status === 'failed' ? 'primary' : '' }) : cancelButton(now, refresh)),
    h('p', { class: 'under' }, badge(now.status), h('span', { class: 'hint' }, ` ${timing(now)}`)));
    progress.draw(now);
    mount(outcome, outcomeOf(now));
    mount(about, definition(now));
  };
  const refresh = async () => {
    const before = now.status;
    now = await api.get(path);
    draw();
    if (now.status !== before) announce(`${called(now)}: ${now.status}`);
    await lines.refresh();
  };
  draw();
  await lines.refresh();
  onLeave(listen((kind, id, data) => {
    if (kind === 'reopened') refresh().catch(() => {});
    if (id !== rest) return;
    if (kind === 'job.progress') progress.move(data.progress, rest);
    else refresh().catch(() => {});
  }));
  const timer = setInterval(() => {
    if (!isOver(now) && !document.hidden) lines.refresh().catch(() => {});
  }, LOG_PAUSE);
  onLeave(() => clearInterval(timer));
}

function timing(job) {
  if (job.status === 'pending') return `submitted ${date(job.definition.created_at)}`;
  const attempts = job.definition.attempt > 1 ? `, attempt ${job.definition.attempt}` : '';
  if (job.status === 'running') return `since ${date(job.started_at)}${attempts}`;
  return `${date(job.completed_at)}${job.started_at ? `, took ${duration(taken(job))}` : ''}${attempts}`;
}

function progressPanel(name) {
  const whole = bar(`Progress of ${name}`);
  whole.element.classList.add('large');
  const step = h('p', { class: 'phase' });
  const files = h('ul', { class: 'file-bars' });
  const graph = h('div', {});
  const section = panel('Progress', step, whole.element, files, graph);
  const bars = new Map();
  let told = 0;
  const move = (progress, id) => {
    whole.set(progress.percent_complete, progressWords(progress));
    say(step, `${phase(progress)}${progress.total_files ? ` · ${progress.files_downloaded} of ${progress.total_files} files done` : ''}`);
    for (const file of progress.files) {
      if (!bars.has(file.name)) {
        const one = bar(`Progress of ${file.name}`);
        bars.set(file.name, one);
        files.append(h('li', {}, h('span', { class: 'file-name' }, file.name), one.element));
      }
      bars.get(file.name).set(file.percent_complete, `${percent(file.percent_complete)} · ${bytes(file.bytes_downloaded)}`);
    }
    const reached = Math.floor(progress.percent_complete / STEP) * STEP;
    if (reached > told && id !== undefined) announce(`${name}: ${reached} percent`);
    told = Math.max(told, reached);
    if (id !== undefined) drawSpeed(graph, speedOf(id));
  };
  return {
    element: section,
    move,
    draw(job) {
      move(job.progress);
      drawSpeed(graph, speedOf(job.definition.id));
      graph.hidden = isOver(job) && speedOf(job.definition.id).length < 2;
    },
  };
}

function logPanel(path) {
  const list = h('ol', { class: 'log', tabindex: '0', 'aria-label': 'Log lines, oldest first' });
  let shown = -1;
  return {
    element: panel('Log', list),
    async refresh() {
      const { logs } = await api.get(path);
      if (logs.length === shown) return;
      const wasAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
      shown = logs.length;
      mount(list, logs.map((line) => h('li', { class: line.level },
        h('time', { datetime: line.timestamp }, clock(line.timestamp)), ' ',
        line.level !== 'info' && h('strong', {}, `${line.level}: `), line.message)),
      logs.length === 0 && h('li', { class: 'hint' }, 'Nothing yet: the job has not begun.'));
      if (wasAtEnd) list.scrollTop = list.scrollHeight;
    },
  };
}

function outcomeOf(job) {
  if (job.status === 'failed') {
    const [what, ...advice] = String(job.error).split('; ');
    return h('section', { class: 'panel bad', 'aria-label': 'Why it failed' }, h('h2', {}, 'It failed'),
      h('p', { class: 'reason' }, what),
      advice.length > 0 && h('p', {}, h('strong', {}, 'What to do: '), advice.join('; ')),
      h('p', { class: 'hint' }, 'The log below says what led to it. Retry submits the same job once more.'));
  }
  return job.result ? packagePanel(job.result, job.definition.id) : null;
}

/** The package: where, how large, its checksum, and each file. With its identifier it can be verified. */
export function packagePanel(result, id) {
  const report = h('div', { 'aria-live': 'polite' });
  const inCatalogue = id && h('a', { class: 'button', href: `#/packages/${api.part(id)}` }, 'In the catalogue');
  const verify = id && api.has('packages') && act('Verify it now', async () => {
    mount(report, h('p', { class: 'hint' }, 'Reading every byte…'));
    try {
      mount(report, verdict(await api.post('/packages/verify', { id, level: 'full' })));
    } catch (error) {
      mount(report, problem(error));
    }
  });
  const section = panel('Package',
    facts([
      ['Path', copyable(result.ovf_path)],
      ['Size', `${bytes(result.total_size)} (${result.total_size.toLocaleString()} bytes)`],
      ['SHA-256 of the manifest', copyable(result.checksum)],
    ]),
    result.warnings.length > 0 && h('ul', { class: 'warnings' }, result.warnings.map((text) => h('li', {}, text))),
    table('Files of the package', ['File', 'Size', 'SHA-256', 'Host agrees'], result.files.map((file) => [
      file.name, bytes(file.size), copyable(file.sha256), file.attested ? 'yes' : 'it does not say'])),
    h('div', { class: 'actions' }, verify, location.hash.startsWith('#/jobs/') && inCatalogue), report);
  section.id = 'package';
  return section;
}

function verdict(report) {
  if (report.ok) return h('p', { class: 'good-news' }, `✓ Whole: ${report.files.length} files, every byte read.`);
  return h('div', { class: 'problem' }, h('p', {}, h('strong', {}, 'The package is faulty.')),
    h('ul', {}, report.faults.map((fault) => h('li', {}, fault.file && h('code', {}, fault.file), ' ', fault.message))));
}

function definition(job) {
  const d = job.definition;
  const section = panel('Job', facts([
    ['Name', d.name], ['Identifier', copyable(d.id)], ['VM', h('code', {}, d.vm_path)], ['Output directory', h('code', {}, d.output_dir)],
    ['Connection', d.provider], ['Format', `${d.format}${d.compress ? `, compressed (level ${d.compression_level})` : ''}`],
    ['Submitted', date(d.created_at)],
  ]), h('details', {}, h('summary', {}, 'All of it, as JSON'), h('pre', { tabindex: '0' }, JSON.stringify(d, null, 2))));
  return section;
}
