// What was sent to one webhook, and what came back.

import { h, mount } from './dom.js';
import * as api from './api.js';
import { date, duration } from './format.js';
import { testButton } from './webhooks.js';
import { act, badge, empty, load, table, title, when } from './widgets.js';

const PAGE = 50;
const REFRESH = 3000;
const STATES = [['', 'All'], ['dead', 'Given up'], ['pending', 'Waiting'], ['delivered', 'Delivered']];

export default async function webhook({ place, rest, asked, onLeave }) {
  const path = `/webhooks/${api.part(rest)}`;
  const state = asked.get('state') ?? '';
  const list = h('div', {});
  const one = await api.get(path);
  let shown = '';
  const fetchList = async (before) => {
    const page = await api.get(`${path}/deliveries${api.query({ state, limit: PAGE, before })}`);
    shown = key(page);
    if (page.deliveries.length === 0) return empty('There are no deliveries here yet.');
    return [table('Deliveries, newest first', ['Event', 'State', 'Tries', 'Last answer', 'When', 'Actions'], page.deliveries.map((delivery) => row(delivery, again))),
      page.next && h('button', { type: 'button', onclick: () => load(list, () => fetchList(page.next)) }, 'Show older ones')];
  };
  const again = () => load(list, () => fetchList());
  mount(place, title(rest,
    one.status === 'halted' && act('Go on', async () => {
      await api.post(`${path}/resume`);
      location.reload();
    }, { kind: 'primary' }),
    testButton(one),
    one.deliveries.dead > 0 && act('Send all given up again', async () => {
      const answer = await api.post(`${path}/redeliver`);
      await again();
      return `Sent again: ${answer.redelivered}.`;
    })),
  h('p', { class: 'under' }, badge(one.status), h('span', { class: 'hint' }, ` ${one.url} · ${one.events.join(', ')}`)),
  one.halted && h('p', { class: 'problem' }, 'The receiver said that it is gone. What happens is kept; Go on sends it.'),
  h('nav', { class: 'tabs', 'aria-label': 'Deliveries by state' }, STATES.map(([value, word]) =>
    h('a', { href: `#/webhooks/${api.part(rest)}${value && `?state=${value}`}`, 'aria-current': value === state ? 'true' : undefined }, word))), list);
  await again();
  // Drawn again only if something is different, so that whoever is at a button stays there.
  const timer = setInterval(async () => {
    if (document.hidden) return;
    const page = await api.get(`${path}/deliveries${api.query({ state, limit: PAGE })}`).catch(() => null);
    if (page !== null && key(page) !== shown) await again();
  }, REFRESH);
  onLeave(() => clearInterval(timer));
}

const key = (page) => page.deliveries.map((one) => `${one.id} ${one.state} ${one.tries}`).join('\n');

function row(delivery, again) {
  const last = delivery.attempts.at(-1);
  const isOver = ['delivered', 'dead'].includes(delivery.state);
  return [
    h('span', {}, h('span', { class: 'strong' }, delivery.event), delivery.job_id && h('a', { class: 'path', href: `#/jobs/${api.part(delivery.job_id)}` }, 'its job')),
    badge(delivery.state), delivery.tries, last ? answerOf(last) : '–',
    h('span', {}, when(delivery.event_time), delivery.next_try_at && h('span', { class: 'hint path' }, 'next try ', when(delivery.next_try_at))),
    isOver && act('Send again', async () => {
      await api.post(`/webhooks/deliveries/${api.part(delivery.id)}/redeliver`);
      await again();
      return 'It will be sent again.';
    }, { name: `Send again: ${delivery.event}` }),
  ];
}

function answerOf(attempt) {
  const text = attempt.error ?? (attempt.status ? `status ${attempt.status}` : '');
  const took = attempt.duration_ms !== undefined && ` after ${duration(attempt.duration_ms / 1000)}`;
  return h('span', { class: attempt.error || attempt.status >= 300 ? 'reason' : '', title: date(attempt.at ?? attempt.time) }, text, took);
}
