// Numbers and times for people.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const NONE = '–';

export function bytes(count) {
  if (count === null || count === undefined) return NONE;
  let unit = 0;
  let value = count;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export const rate = (perSecond) => (perSecond > 0 ? `${bytes(perSecond)}/s` : NONE);

/** Seconds as `2 h 5 min`: the two largest units. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  if (seconds < 1) return 'under 1 s';
  const parts = [];
  let left = Math.round(seconds);
  for (const [name, size] of [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count} ${name}`);
    if (parts.length === 2) break;
  }
  return parts.join(' ');
}

export const percent = (value) => `${Math.floor(value)} %`;

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short' });

export const date = (text) => (text ? DATE.format(new Date(text)) : NONE);
export const clock = (text) => (text ? CLOCK.format(new Date(text)) : NONE);
export const day = (instant) => DAY.format(instant);

/** How far away an instant is: `in 3 h 20 min`, `2 min ago`. */
export function distance(text) {
  if (!text) return NONE;
  const seconds = (new Date(text) - Date.now()) / 1000;
  if (Math.abs(seconds) < 5) return 'now';
  return seconds > 0 ? `in ${duration(seconds)}` : `${duration(-seconds)} ago`;
}

/** `1 job`, `2 jobs`. */
export const count = (number, noun) => `${number} ${noun}${number === 1 ? '' : 's'}`;

/** The last part of a path. */
export const leaf = (path) => String(path ?? '').split('/').filter(Boolean).pop() ?? String(path ?? '');
