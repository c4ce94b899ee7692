// What can be done with a job, wherever it is shown.

import { h } from './dom.js';
import * as api from './api.js';
import { bytes, duration, leaf, percent, rate } from './format.js';
import { act, confirmed } from './widgets.js';

export const isOver = (job) => !['pending', 'running'].includes(job.status);

/** What people call it. */
export const called = (job) => job.result?.vm_name ?? leaf(job.definition.vm_path);

/** Its VM, and the name it was given besides. */
export const linkTo = (job) => h('span', {},
  h('a', { href: `#/jobs/${api.part(job.definition.id)}`, class: 'strong' }, called(job)),
  job.definition.name && h('span', { class: 'hint path' }, job.definition.name));

export function cancelButton(job, done) {
  return act('Cancel', async () => {
    if (!(await confirmed(`Cancel the export of ${called(job)}? What was fetched so far is removed.`, 'Cancel the job'))) return;
    const answer = await api.post('/jobs/cancel', { job_ids: [job.definition.id] });
    await done();
    return answer.stopping.length > 0 ? 'The job is being stopped.' : 'The job is cancelled.';
  }, { kind: 'danger-quiet', name: `Cancel ${called(job)}` });
}

/** Submits what the job was, once more; whoever asks twice at once gets one job. */
export function againButton(job, { kind = '' } = {}) {
  const key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  return act(job.status === 'completed' ? 'Export again' : 'Retry', async () => {
    const answer = await api.post('/jobs/submit', again(job.definition), { 'Idempotency-Key': key });
    location.hash = `#/jobs/${api.part(answer.job_ids[0])}`;
    return 'The job is submitted again.';
  }, { kind, name: `${job.status === 'completed' ? 'Export again' : 'Retry'} ${called(job)}` });
}

/** What a job was is what to submit, but for what the daemon added. */
export function again(definition) {
  const { id, created_at, attempt, schedule, submitter, ...rest } = definition;
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
}

const PHASES = {
  queued: 'Waiting for its turn', preparing: 'Preparing at the source', exporting: 'Fetching disks',
  finishing: 'Closing the package', verifying: 'Checking the package', done: 'Done',
};

export const phase = (progress) => PHASES[progress.phase] ?? progress.phase;

/** `37 % · 120 MiB of 320 MiB · 40 MiB/s · 5 s left`. */
export function progressWords(progress) {
  const total = progress.total_bytes ? ` of about ${bytes(progress.total_bytes)}` : '';
  return [
    percent(progress.percent_complete),
    `${bytes(progress.bytes_downloaded)}${total}`,
    progress.bytes_per_second > 0 && rate(progress.bytes_per_second),
    progress.estimated_remaining && `${duration(progress.estimated_remaining)} left`,
  ].filter(Boolean).join(' · ');
}

/** How long it took or has taken, in seconds. */
export function taken(job) {
  if (job.result) return job.result.duration;
  if (!job.started_at) return null;
  return (new Date(job.completed_at ?? Date.now()) - new Date(job.started_at)) / 1000;
}
