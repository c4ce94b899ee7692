// Who is told of what happens, and whether it arrives.

import { h, mount } from './dom.js';
import * as api from './api.js';
import { clearMarks, refusal } from './export.js';
import { act, adding, badge, check, choice, confirmed, empty, field, load, note, panel, table, title } from './widgets.js';

const PROFILES = [['standard', 'JSON, signed'], ['slack', 'Slack or Mattermost'], ['teams', 'Teams'], ['discord', 'Discord'], ['cloudevents', 'CloudEvents']];

export default async function webhooks({ place }) {
  const list = h('div', {});
  const making = h('div', {});
  const again = () => load(list, async () => {
    const { webhooks: all } = await api.get('/webhooks');
    if (all.length === 0) return empty('Nobody is told of what happens. A webhook sends an HTTP request for each event.');
    return table('Webhooks', ['Name', 'Events', 'State', 'Deliveries', 'Actions'], all.map((one) => row(one, again)));
  });
  const add = adding('New webhook', making, createForm, again);
  mount(place, title('Webhooks', add), making, list);
  await again();
}

function row(one, again) {
  const path = `/webhooks/${api.part(one.id)}`;
  const { delivered, pending, in_flight: flying, dead } = one.deliveries;
  return [
    h('span', {}, h('a', { class: 'strong', href: `#/webhooks/${api.part(one.id)}` }, one.id), h('span', { class: 'hint path' }, one.url)),
    one.events.join(', '), badge(one.status),
    h('span', {}, `${delivered} delivered`, pending + flying > 0 && `, ${pending + flying} waiting`,
      dead > 0 && h('span', { class: 'reason path' }, `${dead} given up`)),
    h('div', { class: 'actions' }, testButton(one), h('a', { class: 'button', href: `#/webhooks/${api.part(one.id)}`, 'aria-label': `Deliveries of ${one.id}` }, 'Deliveries'),
      one.origin === 'api' && act('Remove', async () => {
        if (!(await confirmed(`Remove the webhook ${one.id} with all its deliveries?`, 'Remove it'))) return;
        await api.remove(path);
        await again();
        return 'The webhook is removed.';
      }, { role: 'admin', kind: 'danger-quiet', name: `Remove ${one.id}` })),
  ];
}

/** Sends a test and says what came back. */
export function testButton(one) {
  return act('Test', async () => {
    const answer = await api.post(`/webhooks/${api.part(one.id)}/test`);
    if (answer.delivered) return `${one.id} took the test: status ${answer.status} after ${answer.duration_ms} ms.`;
    const why = answer.error ?? `status ${answer.status}`;
    note(`${one.id} did not take the test: ${why}.`, 'bad');
  }, { name: `Test ${one.id}` });
}

function createForm(done, close) {
  const form = h('form', { class: 'form', novalidate: true },
    h('div', { class: 'pair' },
      field('Name', h('input', { name: 'id', placeholder: 'ops', autocomplete: 'off' })),
      field('Form of the message', choice('profile', PROFILES, 'standard'))),
    field('URL', h('input', { name: 'url', type: 'url', required: true, autocomplete: 'off', spellcheck: 'false' }), 'the final address: redirects are not followed'),
    field('Events', h('input', { name: 'events', value: 'job.completed, job.failed', autocomplete: 'off' }), 'with commas; job.* is all of jobs, * is everything'),
    field('Secret', h('input', { name: 'secret', type: 'password', autocomplete: 'new-password' }), 'signs each request; 24 characters or more, or empty'),
    field('The address lies in a private network', check('allow_private')));
  const verdict = h('div', { 'aria-live': 'polite' });
  form.append(verdict, h('div', { class: 'actions' }, h('button', { class: 'primary' }, 'Create the webhook'),
    h('button', { type: 'button', class: 'quiet', onclick: close }, 'Close')));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    clearMarks(form);
    const { elements } = form;
    try {
      await api.post('/webhooks', {
        id: elements.id.value.trim() || undefined, url: elements.url.value.trim(), profile: elements.profile.value,
        events: elements.events.value.split(',').map((word) => word.trim()).filter(Boolean),
        secret: elements.secret.value || undefined, allow_private: elements.allow_private.checked || undefined,
      });
      note('The webhook is there. Test it to see whether it is heard.');
      done();
    } catch (error) {
      mount(verdict, refusal(error, form));
    }
  });
  return panel('New webhook', form);
}
