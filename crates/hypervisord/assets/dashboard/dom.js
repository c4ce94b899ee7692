// Elements from code. Text is only ever set as text, so whatever a VM is called stays a name.

const SVG = 'http://www.w3.org/2000/svg';

/** An element. `props`: `on…` are listeners, `class` and the rest attributes; `true` is an empty attribute. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Puts `children` in the place of what is in `element`. */
export function mount(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

/** Sets a text only if it is another, so that a screen reader does not repeat itself. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

let last = 0;

/** An id nobody else has. */
export function id(prefix) {
  last += 1;
  return `${prefix}-${last}`;
}
