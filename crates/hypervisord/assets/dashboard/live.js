// What happens, as it happens: one stream of the daemon's events for all pages.

import { get } from './api.js';

/** How many samples of a job's speed are kept: at two a second, about ten minutes. */
const KEPT = 1200;
const KINDS = ['job.created', 'job.started', 'job.progress', 'job.requeued', 'job.completed', 'job.failed',
  'job.cancelled', 'schedule.fired', 'schedule.missed', 'package.removed'];
/** How long to wait before a stream that the browser gave up is opened again. */
const PAUSE = 5000;

const listeners = new Set();
const watchers = new Set();
const speeds = new Map();
let state = 'connecting';

/** Calls `heard(kind, jobId, data)` for each event, and `heard('reopened')` when some may have been missed. */
export function listen(heard) {
  listeners.add(heard);
  return () => listeners.delete(heard);
}

/** Calls `seen(state)` now and whenever it changes: `connecting`, `live`, `lost`. */
export function watchState(seen) {
  watchers.add(seen);
  seen(state);
}

/** What is known of a job's speed: `[{at, rate}]`, oldest first. */
export const speedOf = (job) => speeds.get(job) ?? [];

function become(next) {
  if (next === state) return;
  state = next;
  for (const seen of watchers) seen(state);
}

function tell(kind, job, data) {
  for (const heard of [...listeners]) heard(kind, job, data);
}

function remember(job, progress) {
  const samples = speeds.get(job) ?? [];
  samples.push({ at: Date.now(), rate: progress.bytes_per_second });
  if (samples.length > KEPT) samples.shift();
  speeds.set(job, samples);
  // Those of the oldest jobs are of no use any more.
  if (speeds.size > 50) speeds.delete(speeds.keys().next().value);
}

/** Opens the stream and keeps it open. */
export function connect() {
  let opened = false;
  const source = new EventSource('/events');
  source.addEventListener('open', () => {
    become('live');
    if (opened) tell('reopened');
    opened = true;
  });
  source.addEventListener('error', () => {
    become('lost');
    if (source.readyState !== EventSource.CLOSED) return;
    // Refused, perhaps as the session has ended: an ordinary request finds out.
    setTimeout(async () => {
      await get('/session').catch(() => {});
      connect();
      tell('reopened');
    }, PAUSE);
  });
  for (const kind of KINDS) {
    source.addEventListener(kind, (event) => {
      const body = JSON.parse(event.data);
      const data = body.data ?? body;
      if (kind === 'job.progress') remember(data.job_id, data.progress);
      tell(kind, data.job_id, data);
    });
  }
  window.addEventListener('pagehide', () => source.close(), { once: true });
}
