// When schedules fire in the days to come, as a strip of days.

import { h } from './dom.js';
import { count, date, day } from './format.js';

const DAYS = 14;

/** `firings` is `[{name, at, blackout}]`. */
export function calendar(firings) {
  const today = new Date();
  today.setHours(0, 0, 0, 0);
  const days = Array.from({ length: DAYS }, (_, index) => {
    const from = new Date(today);
    from.setDate(from.getDate() + index);
    const to = new Date(from);
    to.setDate(to.getDate() + 1);
    return { from, firings: firings.filter((firing) => firing.at >= from && firing.at < to) };
  });
  const most = Math.max(1, ...days.map((one) => one.firings.length));
  return h('ol', { class: 'calendar', 'aria-label': `Runs in the next ${DAYS} days`, tabindex: '0' }, days.map((one) => h('li', {
    class: one.firings.length === 0 ? 'free' : `busy-${Math.ceil((one.firings.length / most) * 3)}`,
    title: one.firings.slice(0, 12).map((firing) => `${date(firing.at)} ${firing.name}${firing.blackout ? ` (not: ${firing.blackout})` : ''}`).join('\n'),
  }, h('span', { class: 'day' }, day(one.from)), h('span', {}, one.firings.length === 0 ? 'none' : count(one.firings.length, 'run')))));
}
