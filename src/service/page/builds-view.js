// The list of builds: those that go on, and those that have ended.

import { askJson, buildPath, now } from "./api.js";
import { cell, element, forget, icon, moment, patch, row, rows, setAttribute, setIcon, setPath, setText, table } from "./dom.js";
import { poll } from "./poll.js";
import { BUILD_STATES, ago, described, duration, isFinal, sentence, shortContext, shortId, shownState, ticking, title } from "./words.js";

const PAGE = 50;
const MOST = 500;
const COLUMNS = ["State", "Build", "Platforms", "Submitted", "Time"];

/** Shows the builds, or those in one state. */
export function showBuilds(page, { state }) {
  const only = BUILD_STATES.includes(state) ? state : null;
  page.title(only ? `${described(only).word} builds` : "Builds");
  const heading = element("h1", { tabindex: "-1" }, "Builds");
  const filter = element("nav", { class: "filter", "aria-label": "Builds by state" }, filterLink(null, only), BUILD_STATES.map((one) => filterLink(one, only)));
  const list = table("Builds, the newest first", COLUMNS, { class: "builds" });
  const active = rows();
  const ended = rows();
  const activeHead = groupHead("Now");
  const endedHead = groupHead("Recent");
  list.append(activeHead, active, endedHead, ended);
  const empty = element("p", { class: "empty" }, "Asking for the builds …");
  const older = element("button", { type: "button", hidden: true }, "Show older builds");
  page.main.replaceChildren(heading, filter, list, empty, element("p", { class: "more" }, older));

  const builds = new Map();
  const known = new Map();
  let next = null;
  let paged = false;
  let limit = PAGE;
  let recent = new Set();

  const draw = () => {
    const all = [...builds.values()].sort((one, other) => other.submitted - one.submitted || (other.id < one.id ? -1 : 1));
    const shown = all.filter((build) => paged || recent.has(build.id) || !isFinal(build.state));
    const going = shown.filter((build) => !isFinal(build.state));
    going.sort((one, other) => place(one) - place(other));
    const past = shown.filter((build) => isFinal(build.state));
    const options = { key: (build) => build.id, create: createRow, update: updateRow, known };
    patch(active, going, options);
    patch(ended, past, options);
    if (forget(known, new Set(shown.map((build) => build.id)))) heading.focus({ preventScroll: true });
    const both = only === null && shown.length > 0;
    activeHead.hidden = !both || going.length === 0;
    endedHead.hidden = !both || past.length === 0;
    list.hidden = shown.length === 0;
    empty.hidden = shown.length > 0;
    older.hidden = next === null || limit === MOST;
  };

  const take = (answer) => {
    for (const build of answer.builds) builds.set(build.id, build);
  };
  const ask = (query) => askJson(`v1/builds?${query}limit=${limit}`, { signal: page.signal });

  const refresh = async () => {
    const before = [...builds.values()].filter((build) => !isFinal(build.state));
    // Builds that go on are asked for by themselves: the newest ones may all have ended.
    const queries = only ? [`state=${only}&`] : ["", "state=running&", "state=queued&"];
    const answers = await Promise.all(queries.map(ask));
    const first = answers[0].builds;
    const overlap = first.some((build) => builds.has(build.id));
    if (!overlap || (only && !isFinal(only))) {
      builds.clear();
      paged = false;
    }
    // A list by itself is older than a list that was asked for after it.
    for (const answer of answers.toReversed()) take(answer);
    recent = new Set(first.map((build) => build.id));
    if (!paged) next = answers[0].next ?? null;
    const found = new Set(answers.flatMap((answer) => answer.builds.map((build) => build.id)));
    const gone = before.filter((build) => builds.has(build.id) && !found.has(build.id));
    for (const build of gone.slice(0, 10)) {
      const answer = await askJson(buildPath(build.id), { signal: page.signal }).catch((error) => {
        if (error.status !== 404) throw error;
      });
      if (answer && (!only || answer.state === only)) builds.set(build.id, answer);
      else builds.delete(build.id);
    }
    if (!paged) {
      for (const build of [...builds.values()]) {
        if (isFinal(build.state) && !recent.has(build.id)) builds.delete(build.id);
      }
    }
    setText(empty, only ? `No build is in the state “${described(only).word.toLowerCase()}”.` : "There are no builds yet: one that is submitted appears here.");
    draw();
  };

  const hurry = poll(refresh, { signal: page.signal, page });
  const clock = setInterval(() => document.hidden || draw(), 1000);
  page.signal.addEventListener("abort", () => clearInterval(clock));
  older.addEventListener("click", async () => {
    if (only && !isFinal(only)) {
      // Builds that go on change, so that all that are shown are asked for again.
      limit = Math.min(limit + PAGE, MOST);
      hurry();
      return;
    }
    setAttribute(older, "aria-disabled", "true");
    try {
      const answer = await ask(`${only ? `state=${only}&` : ""}before=${encodeURIComponent(next)}&`);
      const had = new Set(known.keys());
      paged = true;
      take(answer);
      next = answer.next ?? null;
      draw();
      const fresh = answer.builds.find((build) => !had.has(build.id));
      if (older.hidden && fresh) known.get(fresh.id)?.parts.link.focus();
    } catch (error) {
      page.refused(error);
      hurry();
    } finally {
      setAttribute(older, "aria-disabled", null);
    }
  });
}

// Those that run come first, and then those that wait, the next one first.
function place(build) {
  return build.state === "queued" ? 1 + (build.waiting?.ahead ?? 0) : 0;
}

function filterLink(state, only) {
  const { word, icon: drawing, tone } = state ? described(state) : { word: "All" };
  return element("a", { href: state ? `#/builds?state=${state}` : "#/builds", class: tone ?? "", "aria-current": state === only ? "true" : null }, state && icon(drawing), word);
}

function groupHead(text) {
  const head = cell({ colspan: COLUMNS.length }, text);
  return element("tbody", { role: "rowgroup", class: "group", hidden: true }, row({}, [head]));
}

function createRow(build) {
  const drawing = icon("queued");
  const word = element("span", { class: "word" });
  const badge = element("span", { class: "badge" }, drawing, word);
  const link = element("a", { href: `#/builds/${encodeURIComponent(build.id)}` });
  const about = element("span", { class: "about" });
  const why = element("span", { class: "why", hidden: true });
  const lanes = element("ul", { class: "pills" });
  const when = moment(build.submitted);
  const took = element("span", { class: "took" });
  const attempt = element("span", { class: "faint attempt", hidden: true });
  const made = row({ class: "build" }, [
    cell({ class: "build-state" }, badge),
    cell({ class: "build-name" }, link, about, why),
    cell({ class: "build-lanes" }, lanes),
    cell({ class: "build-when" }, when),
    cell({ class: "build-took" }, took, attempt),
  ]);
  made.parts = { drawing, word, badge, link, about, why, lanes, pills: new Map(), when, took, attempt };
  return made;
}

function updateRow(line, build) {
  const found = line.parts;
  const time = now();
  const { word, icon: drawing, tone } = described(shownState(build));
  setIcon(found.drawing, drawing);
  setText(found.word, word);
  setAttribute(found.badge, "class", `badge ${tone}`);
  setPath(found.link, title(build));
  setText(found.about, [build.name ? shortId(build.id) : null, shortContext(build.context)].filter(Boolean).join(" · "));
  setAttribute(found.about, "title", `${build.id} · ${build.context}`);
  const why = reason(build);
  found.why.hidden = why === "";
  setText(found.why, why);
  setAttribute(found.why, "class", `why ${build.state === "failed" || build.state === "timed-out" || build.state === "lost" ? "bad" : "faint"}`);
  patch(found.lanes, lanesOf(build), {
    key: (lane) => lane.platform,
    create: createPill,
    update: updatePill,
    known: found.pills,
  });
  setText(found.when, ago(build.submitted, time));
  setText(found.took, taken(build, time));
  found.attempt.hidden = !(build.attempt > 1);
  setText(found.attempt, `attempt ${build.attempt}`);
}

function reason(build) {
  if (isFinal(build.state)) return build.error && build.error.fault !== "cancelled" ? sentence(build.error.message) : "";
  if (build.state !== "queued" || !build.waiting) return "";
  const { ahead, reason: because } = build.waiting;
  return [ahead > 0 ? `${ahead} ahead` : "next", because].filter(Boolean).join(": ");
}

function taken(build, time) {
  if (build.started === null) return isFinal(build.state) ? "–" : `waits ${ticking(time - build.submitted)}`;
  return build.ended === null ? ticking(time - build.started) : duration(build.ended - build.started);
}

function lanesOf(build) {
  // Where the build has ended, nothing of it waits or runs any more.
  const isOver = (lane) => lane.state === "built" || (lane.state === "failed" && build.state === "failed");
  const shown = (lane) => (isFinal(build.state) && !isOver(lane) ? { ...lane, state: "stopped" } : lane);
  if (build.lanes?.length > 0) return build.lanes.map(shown);
  const state = !isFinal(build.state) ? null : build.state === "succeeded" ? "built" : "stopped";
  return build.platforms.map((platform) => ({ platform, state }));
}

function createPill() {
  const pill = element("li", {}, icon("queued"), element("span"), element("span", { class: "hidden" }));
  return pill;
}

function updatePill(pill, { platform, state }) {
  const { word, icon: drawing, tone } = described(state ?? "queued");
  setIcon(pill.firstChild, drawing);
  setAttribute(pill, "class", state ? tone : "calm unknown");
  setAttribute(pill, "title", state ? `${platform}: ${word.toLowerCase()}` : platform);
  setText(pill.children[1], platform);
  setText(pill.children[2], state ? `, ${word.toLowerCase()}` : "");
}
