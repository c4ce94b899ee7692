// The frame: pages by the address's fragment, the menu, who one is, and whether the view is live.

import { h, mount, say } from './dom.js';
import * as api from './api.js';
import { connect, watchState } from './live.js';
import { announce, problem, title } from './widgets.js';
import overview from './overview.js';
import jobs from './jobs.js';
import job from './job.js';
import vms from './vms.js';
import exporting from './export.js';
import schedules from './schedules.js';
import webhooks from './webhooks.js';
import webhook from './webhook.js';
import packages, { onePackage } from './packages.js';
import pool from './pool.js';
import nodes from './nodes.js';

/** Path, word in the menu, the part of the API it is about, and the page. */
const PAGES = [
  ['', 'Overview', 'jobs', overview],
  ['jobs', 'Jobs', 'jobs', jobs, job],
  ['vms', 'VMs', 'vms', vms],
  ['export', null, 'vms', exporting],
  ['schedules', 'Schedules', 'schedules', schedules],
  ['webhooks', 'Webhooks', 'webhooks', webhooks, webhook],
  ['packages', 'Packages', 'packages', packages, onePackage],
  ['pool', 'Pool', 'pool', pool],
  ['nodes', 'Nodes', 'jobs', nodes],
];

const main = document.getElementById('main');
const nav = document.getElementById('nav');
const menu = document.getElementById('menu');
let leave = () => {};

/** `#/jobs/ID?status=failed` as path, one part more, and what is asked. */
function address() {
  const [path, search] = location.hash.replace(/^#\/?/, '').split('?');
  const [name, ...rest] = path.split('/');
  return { name, rest: rest.map(decodeURIComponent).join('/'), asked: new URLSearchParams(search) };
}

function drawMenu(current) {
  const shown = PAGES.filter(([, word, area]) => word !== null && api.has(area));
  mount(nav, h('ul', {}, shown.map(([name, word]) => h('li', {},
    h('a', { href: `#/${name}`, 'aria-current': name === current ? 'page' : undefined }, word)))));
}

function close() {
  menu.setAttribute('aria-expanded', 'false');
}

async function show(isFirst) {
  leave();
  close();
  const { name, rest, asked } = address();
  const page = PAGES.find(([known]) => known === name);
  drawMenu(name === 'export' ? 'vms' : name);
  const left = [];
  leave = () => left.splice(0).forEach((end) => end());
  const place = h('div', {});
  mount(main, place);
  if (page === undefined) {
    mount(place, title('No such page'), h('p', {}, 'There is nothing here. ', h('a', { href: '#/' }, 'Go to the overview'), '.'));
  } else if (!api.has(page[2])) {
    mount(place, title(page[1] ?? page[0]), h('p', {}, 'This daemon does not have this part of the API.'));
  } else {
    const draw = rest !== '' && page[4] ? page[4] : page[3];
    try {
      await draw({ place, rest, asked, onLeave: (end) => left.push(end) });
    } catch (error) {
      mount(place, title('Something is wrong'), problem(error),
        h('button', { type: 'button', onclick: () => show(false) }, 'Try again'));
      if (!(error instanceof api.Problem)) throw error;
    }
  }
  if (!isFirst) {
    main.querySelector('h1')?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
    announce(document.title);
  }
}

function drawWho() {
  const light = h('span', { class: 'light' });
  const words = { live: 'Live', lost: 'Connection lost, trying again', connecting: 'Connecting' };
  watchState((state) => {
    light.className = `light ${state}`;
    say(light, words[state]);
    if (state === 'lost') announce(words.lost);
  });
  mount(document.getElementById('who'), light,
    api.me.login && h('span', { class: 'name' }, `${api.me.name} · ${api.me.role}`),
    api.me.login && h('button', { type: 'button', class: 'quiet small', onclick: api.logout }, 'Log out'),
    h('a', { href: '/docs', class: 'small' }, 'API'),
    h('span', { class: 'hint' }, `version ${api.me.can.version}`));
}

menu.addEventListener('click', () => {
  menu.setAttribute('aria-expanded', String(menu.getAttribute('aria-expanded') !== 'true'));
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && menu.getAttribute('aria-expanded') === 'true') {
    close();
    menu.focus();
  }
});
// The fragment is the page's address, so a link within the page moves the focus itself.
document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});

try {
  await api.introduce();
  drawWho();
  connect();
  window.addEventListener('hashchange', () => show(false));
  await show(true);
} catch (error) {
  mount(main, h('h1', {}, 'The dashboard cannot start'), problem(error),
    h('button', { type: 'button', onclick: () => location.reload() }, 'Try again'));
}
