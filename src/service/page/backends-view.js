// What can be built here, by whom, and how busy they are.

import { askJson } from "./api.js";
import { element, forget, icon, patch, setAttribute, setText } from "./dom.js";
import { poll } from "./poll.js";

/** Shows the backends and their load. */
export function showBackends(page) {
  page.title("Backends");
  const heading = element("h1", { tabindex: "-1" }, "Backends");
  const empty = element("p", { class: "lead" }, "Asking for the backends …");
  const list = element("div", { class: "backends" });
  page.main.replaceChildren(heading, empty, list);
  const known = new Map();
  const refresh = async () => {
    const answer = await askJson("v1/backends", { signal: page.signal });
    const backends = Array.isArray(answer) ? answer : (answer.backends ?? []);
    setText(empty, "This server has no backend, so that nothing can be built.");
    empty.hidden = backends.length > 0;
    patch(list, backends, { key: (backend) => backend.id, create, update, known });
    forget(known, new Set(backends.map((backend) => backend.id)));
  };
  poll(refresh, { signal: page.signal, page });
}

function create(backend) {
  const name = element("h2", {}, backend.id);
  const badge = element("span", { class: "badge" });
  const what = element("p", { class: "faint" });
  const slots = element("div", { class: "slots", "aria-hidden": "true" });
  const load = element("p", { class: "load" });
  const facts = element("dl", { class: "facts" });
  const hints = element("ul", { class: "hints" });
  const made = element("section", { class: "backend" }, element("div", { class: "lane-head" }, name, badge), what, slots, load, facts, hints);
  made.parts = { badge, what, slots, load, facts, hints, drawn: "" };
  return made;
}

function update(section, backend) {
  const can = backend.capabilities ?? {};
  const { usable, unusable } = can.availability ?? {};
  const works = usable !== undefined;
  const all = backend.slots ?? can.slots ?? 0;
  const taken = backend.running ?? 0;
  const found = section.parts;
  setText(found.load, works ? `${taken} of ${all} ${all === 1 ? "slot" : "slots"} in use` : "");
  found.load.hidden = !works;
  found.slots.hidden = !works || all > 32;
  while (found.slots.children.length > Math.min(all, 32)) found.slots.lastChild.remove();
  while (found.slots.children.length < Math.min(all, 32)) found.slots.append(element("i"));
  [...found.slots.children].forEach((slot, at) => setAttribute(slot, "class", at < taken ? "taken" : null));
  // What it can do changes seldom, and what is selected in it stays until then.
  const drawn = JSON.stringify(can);
  if (drawn === found.drawn) return;
  found.drawn = drawn;
  setAttribute(found.badge, "class", `badge ${works ? "good" : "calm"}`);
  found.badge.replaceChildren(icon(works ? "done" : "stopped"), element("span", { class: "word" }, works ? "Usable" : "Not usable"));
  setText(found.what, works ? usable : `It ${unusable ?? "cannot be used"}.`);
  const facts = works ? [["Native", can.native], ["Emulated", can.emulated], ["Without RUN, any CPU of", can.assembles]] : [];
  found.facts.replaceChildren(...facts.map(([name, values]) => fact(name, values ?? [])));
  found.hints.hidden = !can.advice?.length;
  found.hints.replaceChildren(...(can.advice ?? []).map((hint) => element("li", {}, hint)));
}

function fact(name, values) {
  const list = values.length > 0 ? element("ul", { class: "pills" }, values.map((value) => element("li", {}, value))) : "none";
  return element("div", {}, element("dt", {}, name), element("dd", {}, list));
}
