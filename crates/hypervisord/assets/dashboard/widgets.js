// What several pages show alike.

import { h, id, mount, say } from './dom.js';
import * as api from './api.js';
import { date, distance } from './format.js';

const MARKS = {
  pending: '◷', running: '▶', completed: '✓', failed: '✕', cancelled: '⊘', delivered: '✓', dead: '✕',
  in_flight: '▶', active: '✓', disabled: '⊘', halted: '✕', missed: '✕', fired: '▶', on: '✓', off: '⊘',
};
const WORDS = { pending: 'waiting', in_flight: 'being sent', dead: 'given up' };

/** A state by mark, word and colour. */
export function badge(state, word = WORDS[state] ?? state) {
  return h('span', { class: `badge ${state}` }, h('span', { 'aria-hidden': 'true' }, MARKS[state] ?? '•'), ` ${word}`);
}

/** The heading of a page, and what can be done there. */
export function title(text, ...actions) {
  document.title = `${text} · HyperSDK`;
  return h('div', { class: 'title' }, h('h1', { tabindex: '-1' }, text), h('div', { class: 'actions' }, actions));
}

export function panel(heading, ...children) {
  const name = id('panel');
  return h('section', { class: 'panel', 'aria-labelledby': name }, h('h2', { id: name }, heading), children);
}

/** Nothing is there, and what to do about it. */
export const empty = (text, ...actions) => h('div', { class: 'empty' }, h('p', {}, text), actions);

/** What went wrong, with the fields that are. */
export function problem(error) {
  const lines = (error.fields ?? []).map((field) => h('li', {}, h('code', {}, field.field), ' ', field.message));
  return h('div', { class: 'problem', role: 'alert' },
    h('p', {}, h('strong', {}, error.message)),
    lines.length > 0 && h('ul', {}, lines),
    error.status === 403 && h('p', {}, `You are logged in with the role ${api.me.role}.`),
    error.requestId && error.status >= 500
      && h('p', { class: 'hint' }, 'The cause is in the daemon’s log, under ', h('code', {}, error.requestId), '.'));
}

/** Loads into `place`: a word while it lasts, the problem if it fails, with a button to try again. */
export async function load(place, make) {
  const waiting = setTimeout(() => mount(place, h('p', { class: 'hint' }, 'Loading…')), 300);
  try {
    const made = await make();
    clearTimeout(waiting);
    mount(place, made);
  } catch (error) {
    clearTimeout(waiting);
    mount(place, problem(error), h('button', { type: 'button', onclick: () => load(place, make) }, 'Try again'));
    if (!(error instanceof api.Problem)) throw error;
  }
}

/** A table that becomes a list of cards where there is no room. `rows` are lists of cells. */
export function table(caption, heads, rows) {
  const cell = (content, index) => h('td', { role: 'cell', 'data-label': heads[index] }, content);
  return h('table', { role: 'table' },
    h('caption', { class: 'unseen' }, caption),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' },
      heads.map((head) => h('th', { role: 'columnheader', scope: 'col' }, head)))),
    h('tbody', { role: 'rowgroup' },
      rows.map((row) => (row instanceof Node ? row : h('tr', { role: 'row' }, row.map(cell))))));
}

/** Names and values. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '');
  return h('dl', { class: 'facts' }, shown.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

/** An instant: how far away, and which. */
export const when = (text) => (text ? h('time', { datetime: text, title: date(text) }, distance(text)) : '–');

/** A button that does something once at a time and says what came of it. */
export function act(label, work, { kind = '', role = 'operator', name } = {}) {
  if (!api.may(role)) return null;
  const button = h('button', { type: 'button', class: kind, 'aria-label': name }, label);
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      const said = await work();
      if (typeof said === 'string') note(said);
    } catch (error) {
      note(error.fields?.[0] ? `${error.message}: ${error.fields[0].message}` : error.message, 'bad');
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

/** A text to take away. */
export function copyable(text) {
  const button = h('button', { type: 'button', class: 'quiet small', 'aria-label': `Copy ${text.slice(0, 40)}` }, 'Copy');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text);
      announce('Copied.');
      say(button, 'Copied');
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.previousSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      say(button, 'Selected');
    }
    setTimeout(() => say(button, 'Copy'), 2000);
  });
  return h('span', { class: 'copyable' }, h('code', {}, text), button);
}

/** A word for screen readers. */
export const announce = (text) => say(document.getElementById('said'), text);

/** A word for everybody; it goes away by itself unless it is bad news. */
export function note(text, kind = 'good') {
  const close = h('button', { type: 'button', class: 'quiet small', 'aria-label': 'Close the message' }, '✕');
  const line = h('div', { class: `note ${kind}`, role: kind === 'bad' ? 'alert' : 'status' }, h('span', {}, text), close);
  close.addEventListener('click', () => line.remove());
  document.getElementById('notes').append(line);
  if (kind !== 'bad') setTimeout(() => line.remove(), 8000);
}

/** Asks before something that cannot be undone. */
export function confirmed(question, yes) {
  return new Promise((resolve) => {
    const name = id('ask');
    const dialog = h('dialog', { 'aria-labelledby': name },
      h('form', { method: 'dialog' },
        h('p', { id: name }, question),
        h('div', { class: 'actions' },
          h('button', { value: 'no', autofocus: true }, 'Leave it'),
          h('button', { value: 'yes', class: 'danger' }, yes))));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A button that opens a form for another one in its place; `form` gets what to do when it is made, and to close. */
export function adding(label, place, form, made) {
  const close = () => mount(place);
  return api.may('admin') && h('button', { type: 'button', class: 'primary', onclick: () => {
    mount(place, form(() => {
      close();
      made();
    }, close));
    place.querySelector('input').focus();
  } }, label);
}

/** A labelled field. */
export function field(label, input, hint) {
  input.id ||= id('field');
  const described = hint && `${input.id}-hint`;
  if (described) input.setAttribute('aria-describedby', described);
  if (input.type === 'checkbox') {
    return h('div', { class: 'field check' }, input, h('label', { for: input.id }, label),
      hint && h('p', { class: 'hint', id: described }, hint));
  }
  return h('div', { class: 'field' }, h('label', { for: input.id }, label), input,
    hint && h('p', { class: 'hint', id: described }, hint));
}

/** A choice of words, or of `[value, words]`. */
export function choice(name, words, chosen) {
  return h('select', { name, value: undefined }, words.map((word) => {
    const [value, text] = Array.isArray(word) ? word : [word, word];
    return h('option', { value, selected: value === chosen }, text);
  }));
}

export const check = (name, on = false) => h('input', { type: 'checkbox', name, checked: on });

/** Remembers a value of a form for the next time, in this browser. */
export const kept = {
  get: (name) => { try { return localStorage.getItem(`hypersdk.${name}`) ?? ''; } catch { return ''; } },
  set: (name, value) => { try { localStorage.setItem(`hypersdk.${name}`, value); } catch { /* nothing is lost */ } },
};

/** A bar with its words. */
export function bar(label) {
  const meter = h('progress', { max: 100, value: 0, 'aria-label': label });
  const words = h('span', { class: 'bar-words' });
  const element = h('div', { class: 'bar' }, meter, words);
  return {
    element,
    set(share, text) {
      meter.value = share;
      say(words, text);
    },
  };
}
