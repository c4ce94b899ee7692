// Requests to the daemon. Everything the dashboard knows comes through here or through live.js.

const KEY = 'hypersdk.session';
let csrf = null;

/** A refusal of the daemon: its words, and the fields it names. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail ?? body.title ?? `The daemon answered ${status}.`);
    this.status = status;
    this.fields = body.errors ?? [];
    this.requestId = body.request_id;
    this.retryAfter = retryAfter;
  }
}

/** Whether this browser had a session when it was here last. */
export function hadSession() {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false;
  }
}

export function noteSession(there) {
  try {
    if (there) localStorage.setItem(KEY, '1');
    else localStorage.removeItem(KEY);
  } catch {
    // Without storage, a link from elsewhere leads to the login page; nothing else changes.
  }
}

export function toLogin() {
  noteSession(false);
  location.replace(`login.html${location.hash}`);
}

async function request(method, path, body, headers = {}) {
  const options = { method, headers: { Accept: 'application/json', ...headers } };
  if (csrf !== null && method !== 'GET') options.headers['X-CSRF-Token'] = csrf;
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Problem(0, { detail: 'The daemon does not answer. Is it running, and is the network up?' });
  }
  if (answer.status === 401) {
    toLogin();
    // Nothing after this matters: the page is left.
    return new Promise(() => {});
  }
  const text = await answer.text();
  let json = {};
  try {
    json = text === '' ? {} : JSON.parse(text);
  } catch {
    json = { detail: answer.ok ? undefined : text.slice(0, 500) };
  }
  if (!answer.ok) throw new Problem(answer.status, json, answer.headers.get('Retry-After'));
  return json;
}

export const get = (path) => request('GET', path);
export const post = (path, body = {}, headers = {}) => request('POST', path, body, headers);
export const put = (path, body) => request('PUT', path, body);
export const remove = (path) => request('DELETE', path);

/** A path segment. */
export const part = (text) => encodeURIComponent(text);

/** A query string of what is set. */
export function query(values) {
  const set = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return set.length === 0 ? '' : `?${new URLSearchParams(set)}`;
}

const RANKS = ['viewer', 'operator', 'admin'];

/** Who one is, and what the daemon can do. */
export const me = { name: '', role: 'viewer', login: false, can: {} };

/** Asks for it once, before the first page. */
export async function introduce() {
  const [session, can] = await Promise.all([get('/session'), get('/capabilities')]);
  csrf = session.csrf_token;
  if (csrf !== null) noteSession(true);
  Object.assign(me, { name: session.name, role: session.role, login: csrf !== null, can });
}

/** Whether one has at least this role. */
export const may = (role) => RANKS.indexOf(me.role) >= RANKS.indexOf(role);

/** Whether this daemon has a part of the API. */
export const has = (area) => (me.can.areas ?? []).includes(area);

export async function logout() {
  await post('/logout');
  toLogin();
}
