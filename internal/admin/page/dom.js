// Elements, and changing them no more than needed: a node is written to only
// where its text or attribute differs, so a second without news costs no layout.

const SVG = "http://www.w3.org/2000/svg";

// el makes an HTML element. An attribute whose value is false or null is left
// out; "on..." takes a listener; "text" is its text.
export function el(tag, attrs, ...children) {
  return fill(document.createElement(tag), attrs, children);
}

// svg makes an SVG element in the same way.
export function svg(tag, attrs, ...children) {
  return fill(document.createElementNS(SVG, tag), attrs, children);
}

function fill(node, attrs, children) {
  for (const [name, value] of Object.entries(attrs ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}

// icon is one of the symbols in index.html. What it means is said in words
// beside it, so it is hidden from readers.
export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: "#i-" + name }));
}

export function setIcon(node, name) {
  attr(node.firstChild, "href", "#i-" + name);
}

export function text(node, value) {
  const s = String(value);
  if (node.textContent !== s) node.textContent = s;
}

export function attr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const s = value === true ? "" : String(value);
  if (node.getAttribute(name) !== s) node.setAttribute(name, s);
}

export function show(node, yes) {
  if (node.hidden === yes) node.hidden = !yes;
}

// keyed keeps one view for each item under parent: make(item) gives {node,
// update}, update(item) brings it up to date. Views whose item is gone are
// removed. Nodes move only if the order changed, and not while one of them
// has the focus, which a move would take away. views is a Map that the caller
// keeps.
export function keyed(parent, views, items, keyOf, make) {
  const seen = new Set();
  for (const item of items) {
    const key = keyOf(item);
    seen.add(key);
    let view = views.get(key);
    if (!view) {
      view = make(item);
      views.set(key, view);
    }
    view.update(item);
  }
  for (const [key, view] of views) {
    if (seen.has(key)) continue;
    view.node.remove();
    views.delete(key);
  }
  const busy = parent.contains(document.activeElement);
  let before = null;
  for (let i = items.length - 1; i >= 0; i--) {
    const node = views.get(keyOf(items[i])).node;
    const there = node.parentNode === parent;
    if (!there || (!busy && node.nextSibling !== before)) parent.insertBefore(node, before?.parentNode === parent ? before : null);
    before = node;
  }
}
