// What waits, in which order and why.

import { askJson } from "./api.js";
import { cell, element, forget, patch, row, rows, setText, table } from "./dom.js";
import { poll } from "./poll.js";
import { count, sentence, shortId, title } from "./words.js";

/** Shows the queue. */
export function showQueue(page) {
  page.title("Queue");
  const heading = element("h1", { tabindex: "-1" }, "Queue");
  const summary = element("p", { class: "lead" }, "Asking for the queue …");
  const waiting = table("Builds that wait, the next one first", ["Position", "Build", "Why it waits"], { class: "queue", hidden: true });
  const body = rows();
  waiting.append(body);
  const tenants = table("Shares of the tenants", ["Tenant", "Weight", "Running", "Waiting"], { class: "tenants", hidden: true });
  const tenantRows = rows();
  tenants.append(tenantRows);
  const known = new Map();
  const share = element("h2", { hidden: true }, "Tenants");
  page.main.replaceChildren(heading, summary, waiting, share, tenants);
  const knownTenants = new Map();

  const refresh = async () => {
    const queue = await askJson("v1/queue", { signal: page.signal });
    const builds = queue.builds ?? [];
    const listed = builds.length > 0 ? await askJson("v1/builds?state=queued&limit=200", { signal: page.signal }) : { builds: [] };
    const found = new Map(listed.builds.map((build) => [build.id, build]));
    const busy = queue.running === 0 ? "No build runs" : count(queue.running, "build runs", "builds run");
    const idle = queue.running === 0 ? "and none waits" : "and no other waits";
    setText(summary, `${busy}, ${queue.waiting === 0 ? idle : `and ${count(queue.waiting, "waits", "wait")}`}.`);
    waiting.hidden = builds.length === 0;
    patch(body, builds, {
      key: (build) => build.id,
      create: createWaiting,
      update: (line, build) => {
        setText(line.parts.position, build.ahead === undefined ? "" : String(build.ahead + 1));
        const record = found.get(build.id);
        setText(line.parts.link, record ? title(record) : shortId(build.id));
        setText(line.parts.about, record ? record.platforms.join(", ") : "");
        setText(line.parts.reason, sentence(build.reason ?? "it has just come"));
      },
      known,
    });
    if (forget(known, new Set(builds.map((build) => build.id)))) heading.focus({ preventScroll: true });
    const shares = queue.tenants ?? [];
    tenants.hidden = shares.length === 0;
    share.hidden = tenants.hidden;
    patch(tenantRows, shares, {
      key: (tenant) => tenant.tenant,
      create: (tenant) => row({}, [cell({ class: "strong" }, tenant.tenant), cell(), cell(), cell()]),
      update: (line, tenant) => {
        [tenant.weight, tenant.running, tenant.waiting].forEach((value, at) => setText(line.cells[at + 1], String(value)));
      },
      known: knownTenants,
    });
    forget(knownTenants, new Set(shares.map((tenant) => tenant.tenant)));
  };
  poll(refresh, { signal: page.signal, page });
}

function createWaiting(build) {
  const position = cell({ class: "position" });
  const link = element("a", { href: `#/builds/${encodeURIComponent(build.id)}` });
  const about = element("span", { class: "about" });
  const reason = cell({ class: "reason" });
  const made = row({}, [position, cell({ class: "build-name" }, link, about), reason]);
  made.parts = { position, link, about, reason };
  return made;
}
