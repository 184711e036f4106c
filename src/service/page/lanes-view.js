// The lanes of a build: each platform with its steps and the time that they took.

import { cell, element, forget, icon, patch, row, rows, setAttribute, setIcon, setText, table } from "./dom.js";
import { packed } from "./model.js";
import { count, described, duration, sentence, ticking } from "./words.js";

const OPEN_LANES = 4;

/** Shows the lanes of a `BuildModel`. `jump(platform, step)` is called for a step that the reader chose. */
export class LanesView {
  constructor({ jump }) {
    this.jump = jump;
    this.known = new Map();
    this.scale = element("p", { class: "scale", "aria-hidden": "true" }, element("span", {}, "0 s"), element("span"));
    this.list = element("div", { class: "lanes-list" });
    const heading = element("h2", { id: "lanes-title" }, "Platforms");
    this.element = element("section", { class: "lanes", "aria-labelledby": "lanes-title" }, heading, this.scale, this.list);
  }

  /** Brings what is shown up to the model, as of `now`. */
  update(lanes, now) {
    const started = Math.min(...lanes.map((lane) => lane.started ?? Infinity));
    const ends = lanes.filter((lane) => lane.started !== null).map((lane) => lane.ended ?? now);
    const whole = Math.max(1000, ...ends.map((end) => end - started));
    this.scale.hidden = !Number.isFinite(started);
    setText(this.scale.lastChild, duration(whole));
    patch(this.list, lanes, {
      key: (lane) => lane.platform,
      create: (lane) => this.created(lane, lanes.length),
      update: (section, lane) => section.view.update(lane, { now, started, whole }),
      known: this.known,
    });
  }

  created(lane, many) {
    const view = new LaneView(lane.platform, { jump: this.jump, open: many <= OPEN_LANES });
    view.element.view = view;
    return view.element;
  }
}

class LaneView {
  constructor(platform, { jump, open }) {
    this.platform = platform;
    this.jump = jump;
    this.steps = new Map();
    this.bars = new Map();
    this.icon = icon("queued");
    this.state = element("span", { class: "word" });
    this.badge = element("span", { class: "badge" }, this.icon, this.state);
    this.facts = element("span", { class: "faint facts" });
    this.time = element("span", { class: "time" });
    const name = element("h3", {}, platform);
    const head = element("div", { class: "lane-head" }, name, this.badge, this.time);
    this.track = element("div", { class: "track", "aria-hidden": "true" });
    this.note = element("p", { class: "lane-note", hidden: true });
    this.summary = element("summary", {}, "Steps");
    this.body = rows();
    this.table = table(`Steps of ${platform}`, ["State", "Step", "Instruction", "Time"], { class: "steps" });
    this.table.append(this.body);
    this.table.tHead.classList.add("hidden");
    this.details = element("details", { open }, this.summary, this.table);
    this.element = element("section", { class: "lane", "data-platform": platform }, head, this.facts, this.track, this.note, this.details);
  }

  update(lane, { now, started, whole }) {
    const { word, icon: drawing, tone } = described(lane.state);
    setIcon(this.icon, drawing);
    setText(this.state, word);
    setAttribute(this.badge, "class", `badge ${tone}`);
    setText(this.time, lane.started === null ? "" : time(lane, now));
    const facts = [lane.backend, lane.emulated ? "emulated" : null, lane.attempt > 1 ? `attempt ${lane.attempt}` : null];
    setText(this.facts, facts.filter(Boolean).join(" · "));
    setAttribute(this.facts, "title", lane.reason ? sentence(lane.reason) : null);
    const note = laneNote(lane, now);
    this.note.hidden = note === "";
    setText(this.note, note);
    setAttribute(this.note, "class", `lane-note ${lane.state === "failed" ? "bad" : "faint"}`);

    const steps = [...lane.steps.values()].sort((one, other) => one.number - other.number);
    const numbers = new Set(steps.map((step) => step.number));
    forget(this.steps, numbers);
    forget(this.bars, numbers);
    this.details.hidden = steps.length === 0;
    setText(this.summary, summary(steps));
    patch(this.body, steps, {
      key: (step) => step.number,
      create: (step) => this.createdStep(step),
      update: (line, step) => updateStep(line, step, now),
      known: this.steps,
    });
    const bars = packed([...lane.steps.values()], now);
    const many = Math.max(1, ...bars.map((bar) => bar.row + 1));
    this.track.hidden = bars.length === 0;
    this.track.style.setProperty("--rows", many);
    patch(this.track, bars, {
      key: (bar) => bar.step.number,
      create: () => element("i", {}),
      update: (bar, { step, row: at, end }) => {
        setAttribute(bar, "class", step.state);
        setAttribute(bar, "title", `${step.instruction} – ${duration(end - step.started)}`);
        bar.style.setProperty("--row", at);
        bar.style.left = `${percent(step.started - started, whole)}%`;
        bar.style.width = `${percent(end - step.started, whole)}%`;
      },
      known: this.bars,
    });
  }

  createdStep(step) {
    const instruction = element("button", { type: "button", class: "instruction", title: "Show in the log" });
    instruction.addEventListener("click", () => this.jump(this.platform, step.number));
    const drawing = icon("running");
    const word = element("span", { class: "hidden" });
    const tag = element("span", { class: "tag", hidden: true });
    const state = cell({ class: "step-state" }, drawing, word);
    const taken = cell({ class: "step-time" });
    const line = row({}, [state, cell({ class: "step-number" }, String(step.number)), cell({ class: "step-what" }, instruction, tag), taken]);
    line.parts = { instruction, drawing, word, tag, state, taken };
    return line;
  }
}

function updateStep(line, step, now) {
  const { word, icon: drawing, tone } = described(step.state);
  const found = line.parts;
  setIcon(found.drawing, drawing);
  setText(found.word, word);
  setAttribute(found.state, "class", `step-state ${tone}`);
  const stage = step.stage?.name ? `${step.stage.name} › ` : "";
  setText(found.instruction, stage + step.instruction);
  const tags = [step.state === "cached" ? "cached" : null, step.shared ? "shared" : null, step.emulated ? "emulated" : null,
    step.state === "failed" ? "failed" : null, step.state === "stopped" ? "stopped" : null].filter(Boolean);
  found.tag.hidden = tags.length === 0;
  setText(found.tag, tags.join(" · "));
  const took = step.ended === null ? ticking(now - step.started) : duration(step.ended - step.started);
  setText(found.taken, step.state === "cached" && step.ended - step.started < 100 ? "–" : took);
}

function time(lane, now) {
  return lane.ended === null ? ticking(now - lane.started) : duration(lane.ended - lane.started);
}

function laneNote(lane, now) {
  if (lane.error) return lane.error;
  if (lane.retry) {
    const left = Math.max(0, Math.ceil((lane.retry.at - now) / 1000));
    return `${lane.retry.why} Tries again ${left > 0 ? `in ${left} s` : "now"}.`;
  }
  if (lane.state === "queued" && lane.ahead > 0) return `${count(lane.ahead, "platform waits", "platforms wait")} before it.`;
  return "";
}

function summary(steps) {
  const cached = steps.filter((step) => step.state === "cached").length;
  return count(steps.length, "step") + (cached > 0 ? `, ${cached} cached` : "");
}

function percent(part, whole) {
  return Math.min(100, Math.max(0, (100 * part) / whole)).toFixed(2);
}
