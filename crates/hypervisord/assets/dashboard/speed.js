// How fast a job went, as a line.

import { h, mount, s } from './dom.js';
import { clock, rate } from './format.js';

const WIDTH = 600;
const HEIGHT = 120;
const LEFT = 4;
/** Steps of the scale: the next one above the highest sample is its top. */
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((n) => [n * 1024, n * 1024 ** 2, n * 1024 ** 3]).sort((a, b) => a - b);

/** Draws `[{at, rate}]` into `place`. */
export function drawSpeed(place, samples) {
  if (samples.length < 2) {
    return mount(place, h('p', { class: 'hint' }, 'The graph begins with what this page sees: at least two samples.'));
  }
  const first = samples[0].at;
  const span = Math.max(1, samples.at(-1).at - first);
  const highest = Math.max(...samples.map((sample) => sample.rate), 1);
  const top = STEPS.find((step) => step >= highest) ?? highest;
  const x = (at) => LEFT + ((at - first) / span) * (WIDTH - LEFT);
  const y = (value) => HEIGHT - 4 - (value / top) * (HEIGHT - 24);
  const points = samples.map((sample) => `${x(sample.at).toFixed(1)},${y(sample.rate).toFixed(1)}`);
  const mean = samples.reduce((sum, sample) => sum + sample.rate, 0) / samples.length;
  const words = `Speed: ${rate(samples.at(-1).rate)} now, ${rate(mean)} on average, ${rate(highest)} at most`;
  mount(place, h('figure', { class: 'speed' },
    s('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': words, preserveAspectRatio: 'none' },
      [0.5, 1].map((share) => s('line', { class: 'grid', x1: 0, x2: WIDTH, y1: y(top * share), y2: y(top * share) })),
      s('polygon', { class: 'area', points: `${x(first)},${HEIGHT - 4} ${points.join(' ')} ${WIDTH},${HEIGHT - 4}` }),
      s('polyline', { class: 'line', points: points.join(' ') })),
    h('figcaption', {}, h('span', {}, words), h('span', { class: 'hint' },
      `${clock(first)} to ${clock(samples.at(-1).at)} · top line ${rate(top)}`))));
}
