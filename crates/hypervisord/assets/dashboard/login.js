// The login page. Its forms work by themselves too; this shows what is wrong without leaving the page.

import { mount, h } from './dom.js';
import { noteSession, hadSession } from './api.js';

const home = './';

async function send(form) {
  const body = {};
  for (const [name, value] of new FormData(form)) body[name] = value;
  const answer = await fetch('/login', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  });
  if (answer.ok) {
    noteSession(true);
    location.replace(home + location.hash);
    return;
  }
  throw new Error(await words(answer, form));
}

async function words(answer, form) {
  if (answer.status === 401) {
    return form.id === 'token-form'
      ? 'This token is not good. Look for a missing letter, or ask for a new one.'
      : 'User name and password do not belong together.';
  }
  if (answer.status === 429) {
    return `Too many wrong attempts came from here. Try again in ${answer.headers.get('Retry-After') ?? 60} seconds.`;
  }
  if (answer.status === 409) return 'Nobody has to log in here. Open the dashboard.';
  return (await answer.json().catch(() => ({}))).detail ?? `The daemon answered ${answer.status}.`;
}

for (const form of document.forms) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const button = form.querySelector('button');
    button.disabled = true;
    try {
      await send(form);
    } catch (error) {
      const text = error instanceof TypeError ? 'The daemon does not answer. Is it running?' : error.message;
      mount(document.getElementById('problem'), h('p', { class: 'problem' }, text));
      form.querySelector('input[type=password]').select();
    } finally {
      button.disabled = false;
    }
  });
}

// A link from elsewhere leads here though there is a session: its cookie is not sent along with such a link.
if (hadSession()) {
  const answer = await fetch('/session').catch(() => null);
  if (answer?.ok) location.replace(home + location.hash);
  else noteSession(false);
}
