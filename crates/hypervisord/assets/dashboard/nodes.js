// The daemons that share the work.

import { h, mount } from './dom.js';
import * as api from './api.js';
import { date, duration } from './format.js';
import { badge, facts, load, panel, table, title, when } from './widgets.js';

const REFRESH = 10_000;

export default async function nodes({ place, onLeave }) {
  const body = h('div', {});
  mount(place, title('Nodes'), body);
  const again = () => load(body, async () => shown(await api.get('/status')));
  await again();
  const timer = setInterval(() => { if (!document.hidden) again(); }, REFRESH);
  onLeave(() => clearInterval(timer));
}

function shown(status) {
  const own = panel('This daemon', facts([
    ['Name', status.node], ['Version', status.version], ['Up', duration(status.uptime_seconds)],
    ['Running jobs', status.running_jobs], ['Connections', api.me.can.providers.map((provider) => `${provider.name} (${provider.type})`).join(', ') || 'none'],
    ['State', status.paused ? 'paused: it begins nothing new' : 'at work'],
  ]));
  const all = status.nodes ?? [];
  if (all.length === 0) {
    return [own, h('p', { class: 'hint' }, 'Several daemons share one queue when they have the same PostgreSQL database (database_url).')];
  }
  return [own, panel('All daemons of this database', table('Daemons', ['Name', 'State', 'Running', 'Connections', 'Version', 'Since', 'Heard'], all.map((node) => [
    node.name, !node.alive ? badge('failed', 'silent') : badge(node.paused ? 'disabled' : 'active', node.paused ? 'paused' : 'at work'),
    `${node.running_jobs} of ${node.max_concurrent_jobs}`, (node.providers ?? []).join(', '), node.version, date(node.started_at), when(node.heard_at),
  ])))];
}
