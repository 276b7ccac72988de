// Small helpers to build the page; text is only ever set as text, so that no answer can bring markup.

/** @returns {HTMLElement} the element of this id */
export const byId = (id) => document.getElementById(id)

const SVG = 'http://www.w3.org/2000/svg'

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value)
    else node.setAttribute(name, value === true ? '' : value)
  }
  node.append(...children.filter((child) => child !== null && child !== undefined))
  return node
}

/** An HTML element: attributes by name, listeners as `onclick`, children as elements or text. */
export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children)

/** An SVG element, as `el`. */
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children)

/** Terms and their descriptions as the children of a dl; descriptions that are missing are left out. */
export const facts = (pairs) =>
  pairs
    .filter(([, value]) => value !== null && value !== undefined && value !== '')
    .flatMap(([term, value]) => [el('dt', {}, term), el('dd', {}, value)])

let last = ''

/** Say something to readers who do not see the page; the same words twice in a row are said twice. */
export function announce(words) {
  last = words === last ? `${words}\u00a0` : words
  byId('announcer').textContent = last
}

/** Show one of these sections and hide the others. */
export function showOnly(shown, ...sections) {
  for (const section of sections) section.hidden = section !== shown
}
