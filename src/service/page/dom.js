// Makes and changes elements. Whatever comes from a server becomes text and never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; strings become text. Absent attributes and children are left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) setAttribute(made, key, value);
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Sets an attribute, or removes it where the value is null or false, and touches nothing that is so already. */
export function setAttribute(target, key, value) {
  if (value === null || value === undefined || value === false) {
    if (target.hasAttribute(key)) target.removeAttribute(key);
  } else {
    const text = value === true ? "" : String(value);
    if (target.getAttribute(key) !== text) target.setAttribute(key, text);
  }
}

/** Replaces the text of an element, unless it is the same: a selection in it stays. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Sets a reference or a path as the text of an element, which breaks between lines after its parts if it must. */
export function setPath(target, text) {
  if (target.textContent === text) return;
  const parts = text.split(/(?<=[/:@])/).flatMap((part) => [element("wbr"), part]);
  target.replaceChildren(...parts.slice(1));
}

/** One of the drawings of index.html, which says nothing to a screen reader. */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", `icon icon-${name}`);
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(document.createElementNS(SVG, "use"));
  drawing.firstChild.setAttribute("href", `#icon-${name}`);
  return drawing;
}

/** Changes the drawing of an icon. */
export function setIcon(drawing, name) {
  setAttribute(drawing, "class", `icon icon-${name}`);
  setAttribute(drawing.firstChild, "href", `#icon-${name}`);
}

/**
 * Makes the children of `parent` those of `items`, in their order. A child is made once for its key and updated
 * afterwards, so that focus, selection and what is open in it stay.
 *
 * `known` is the map from keys to children; several parents may share one, and then a child moves between them.
 */
export function patch(parent, items, { key, create, update, known }) {
  const focused = document.activeElement;
  let place = parent.firstChild;
  for (const item of items) {
    const name = key(item);
    let child = known.get(name);
    if (!child) {
      child = create(item);
      known.set(name, child);
    }
    update(child, item);
    if (child === place) {
      place = place.nextSibling;
    } else {
      parent.insertBefore(child, place);
    }
  }
  // A moved element loses its focus.
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

/** Removes the children whose keys are not in `keys`. Gives `true` where the focus went with one of them. */
export function forget(known, keys) {
  let lost = false;
  for (const [name, child] of known) {
    if (keys.has(name)) continue;
    lost ||= child.contains(document.activeElement);
    child.remove();
    known.delete(name);
  }
  return lost;
}

/**
 * A table that stays one for a screen reader whatever the style makes of its rows: `headers` are the names of the
 * columns, and the caption is said and not shown.
 */
export function table(caption, headers, attributes = {}) {
  const head = element("thead", { role: "rowgroup" });
  const row = element("tr", { role: "row" });
  for (const header of headers) row.append(element("th", { scope: "col", role: "columnheader" }, header));
  head.append(row);
  return element("table", { role: "table", ...attributes }, element("caption", { class: "hidden" }, caption), head);
}

/** A row group of a table, with the roles that it needs. */
export function rows() {
  return element("tbody", { role: "rowgroup" });
}

/** A row with its cells; the first one names the row where `named` says so. */
export function row(attributes, cells) {
  return element("tr", { role: "row", ...attributes }, cells);
}

/** A cell. */
export function cell(attributes = {}, ...children) {
  return element("td", { role: "cell", ...attributes }, ...children);
}

/** A moment, as an element whose text the caller keeps. */
export function moment(milliseconds) {
  const date = new Date(milliseconds);
  return element("time", { datetime: date.toISOString(), title: date.toLocaleString() });
}

/** Says something to screen readers. Meant for changes of state, not for what moves all the time. */
export function announce(sentence) {
  const place = document.getElementById("announcement");
  if (place) place.textContent = sentence;
}
