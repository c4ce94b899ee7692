// Sessions at the sources, and what lies about there.

import { h, mount } from './dom.js';
import * as api from './api.js';
import { duration } from './format.js';
import { act, confirmed, empty, facts, load, panel, table, title } from './widgets.js';

const REFRESH = 3000;

export default async function pool({ place, onLeave }) {
  const figures = h('div', {});
  const orphans = h('div', {});
  mount(place, title('Pool'), figures, orphans);
  const again = () => load(figures, async () => shown(await api.get('/stats/pool')));
  await again();
  const timer = setInterval(async () => {
    if (document.hidden) return;
    const stats = await api.get('/stats/pool').catch(() => null);
    if (stats !== null) mount(figures, shown(stats));
  }, REFRESH);
  onLeave(() => clearInterval(timer));
  if (api.has('orphans')) {
    const section = h('div', {});
    mount(orphans, panel('Left behind', h('p', { class: 'hint' }, 'Snapshots and leases at the source whose job is over.'), section));
    await load(section, () => left(section));
  }
}

function shown(stats) {
  const each = stats.connections ?? [];
  return [
    h('div', { class: 'tiles' }, [
      ['in use', stats.in_use], ['idle', stats.idle], ['at most', stats.max_connections],
      ['waiting', stats.waiting ?? '–'], ['served by an open session', `${Math.round(stats.reuse_ratio * 100)} %`],
    ].map(([word, value]) => h('div', { class: 'tile' }, h('span', { class: 'figure' }, value), h('span', {}, word)))),
    stats.enabled === false && h('p', { class: 'hint' }, 'The pool is switched off: each operation has a session of its own.'),
    stats.waiting > 0 && h('p', { class: 'problem' }, 'Work waits for a session. Raise connection_pool.max_connections if vCenter allows more.'),
    each.length === 0 ? empty('No vCenter is configured.') : table('Sessions by connection', ['Connection', 'In use', 'Idle', 'Made', 'Reused', 'Renewed', 'Timeouts'],
      each.map((one) => [one.provider, one.in_use, one.idle, one.total_created, one.total_reused, one.total_renewed ?? '–', one.total_timeouts ?? '–'])),
    each.filter((one) => (one.holders ?? []).length > 0).map((one) => panel(`Who has a session of ${one.provider}`,
      facts(one.holders.map((holder) => [holder.work, duration(holder.seconds)])))),
  ];
}

async function left(section) {
  const { orphans, errors } = await api.get('/orphans');
  return [
    errors.map((text) => h('p', { class: 'problem' }, text)),
    orphans.length === 0 ? empty('Nothing is left behind.') : table('Left behind', ['What', 'VM', 'Connection', 'Actions'], orphans.map((one) => [
      `${one.kind} ${one.name ?? one.id}`, one.vm_name ?? one.vm ?? '–', one.provider,
      act('Remove', async () => {
        if (!(await confirmed(`Remove ${one.kind} ${one.name ?? one.id} at ${one.provider}?`, 'Remove it'))) return;
        await api.remove(`/orphans/${api.part(one.id)}`);
        await load(section, () => left(section));
        return 'It is removed.';
      }, { role: 'admin', kind: 'danger-quiet', name: `Remove ${one.id}` }),
    ])),
  ];
}
