// From the events of a build to what is known of it. Pure: no document, no clock, no network.

import { count, duration, explained, sentence, size } from "./words.js";

/** The kinds of events that are understood. */
export function kinds() {
  return Object.keys(TAKES);
}

/** What the events of one build have said so far. */
export class BuildModel {
  /** The platforms give the lanes their order. */
  constructor(platforms) {
    this.lanes = new Map();
    this.places = new Map();
    this.attempt = 0;
    this.started = null;
    this.ended = null;
    this.pushing = null;
    this.last = null;
    for (const platform of platforms) this.lane(platform);
  }

  /** The lane of a platform. An image may say its `os.version`, and its lane is the one that was asked for. */
  lane(platform) {
    if (!this.lanes.has(platform)) this.lanes.set(platform, emptyLane(platform));
    return this.lanes.get(platform);
  }

  /**
   * Takes the next event and gives the lines of the log that come of it: `{kind, platform, step, text}`, where `kind` is
   * `step`, `output`, `note`, `warning` or `error`.
   */
  apply(event) {
    this.last = event.time ?? this.last;
    const lane = event.platform ? this.lane(event.platform) : null;
    const said = (kind, text, step) => [{ kind, platform: event.platform ?? null, step: step ?? null, text }];
    const take = TAKES[event.event];
    return take ? (take(this, lane, event, said) ?? []) : [];
  }
}

function emptyLane(platform) {
  return {
    platform, state: "queued", ahead: null, backend: null, emulated: false, reason: null, attempt: 1,
    started: null, ended: null, retry: null, error: null, image: null, warnings: 0, steps: new Map(),
  };
}

// What each kind of event changes. Kinds that are not here change nothing.
const TAKES = {
  started(model, _lane, event, said) {
    model.attempt += 1;
    model.started ??= event.time;
    if (model.attempt === 1) return [];
    for (const [platform, lane] of model.lanes) Object.assign(lane, emptyLane(platform));
    model.pushing = null;
    return said("note", `The build began again, attempt ${model.attempt}.`);
  },
  queued(_model, lane, event) {
    if (lane) Object.assign(lane, { state: "queued", ahead: event.ahead });
  },
  routed(_model, lane, event, said) {
    if (!lane) return [];
    Object.assign(lane, { backend: event.backend, emulated: event.emulated, reason: event.reason });
    return said("note", sentence(`goes to ${event.backend}: ${event.reason}`));
  },
  assigned(_model, lane, event) {
    if (!lane) return;
    // Another attempt counts its steps from 1 again.
    Object.assign(lane, { state: "running", attempt: event.attempt, retry: null, ahead: null, steps: new Map() });
    lane.started ??= event.time;
  },
  "pull-started"(_model, _lane, event, said) {
    return said("note", `Fetching ${event.image} …`);
  },
  pulled(_model, _lane, event, said) {
    return said("note", `Fetched ${event.image}${event.bytes ? ` (${size(event.bytes)})` : ""}.`);
  },
  fetched(_model, _lane, event, said) {
    return said("note", `Fetched ${event.address}.`);
  },
  "step-started"(_model, lane, event, said) {
    if (!lane) return [];
    lane.state = "running";
    lane.started ??= event.time;
    lane.steps.set(event.step, {
      number: event.step, instruction: event.instruction, stage: event.stage ?? null, state: "running",
      started: event.time, ended: null, shared: false, emulated: false,
    });
    return said("step", event.instruction, event.step);
  },
  "step-output"(_model, _lane, event, said) {
    return said("output", event.data, event.step);
  },
  "step-finished"(_model, lane, event, said) {
    const step = endStep(lane, event, event.cached ? "cached" : "done");
    if (!step) return [];
    return said("note", event.cached ? "Was done before." : `Done in ${duration(step.ended - step.started)}.`, event.step);
  },
  "step-failed"(_model, lane, event, said) {
    const step = endStep(lane, event, "failed");
    if (!step) return [];
    return said("error", `Failed after ${duration(step.ended - step.started)}.`, event.step);
  },
  warned(_model, lane, event, said) {
    if (lane) lane.warnings += 1;
    return said("warning", sentence(event.message));
  },
  retried(_model, lane, event, said) {
    const why = explained(event.error);
    if (lane) {
      stopSteps(lane, event.time);
      Object.assign(lane, { state: "backing-off", retry: { at: event.time + event.delay_ms, why } });
    }
    return said("warning", `Attempt ${event.attempt} failed and will be made again in ${duration(event.delay_ms)}. ${why}`);
  },
  "backend-restarted"(_model, _lane, event, said) {
    return said("warning", `Backend ${event.backend} was lost and began anew.`);
  },
  "image-built"(_model, lane, event, said) {
    if (!lane) return [];
    stopSteps(lane, event.time);
    const { backend, emulated, duration: took } = event.image;
    Object.assign(lane, { state: "built", ended: event.time, image: event.image, backend, emulated, retry: null });
    return said("note", `Built in ${duration(took)}.`);
  },
  "platform-failed"(_model, lane, event, said) {
    const why = explained(event.error);
    const stopped = event.error.error === "cancelled" || event.error.error === "abandoned";
    if (lane) {
      stopSteps(lane, event.time);
      const state = event.error.error === "cancelled" ? "cancelled" : stopped ? "stopped" : "failed";
      Object.assign(lane, { state, ended: event.time, error: why, retry: null });
    }
    return said(stopped ? "note" : "error", why);
  },
  "index-assembled"(_model, _lane, event, said) {
    return said("note", `The index of all platforms is assembled: ${event.index.digest}`);
  },
  exported(_model, _lane, event, said) {
    return said("note", `Wrote ${event.destination}.`);
  },
  "cache-imported"(_model, _lane, event, said) {
    return said("note", `Knows ${count(event.steps, "step")} of the cache ${event.place}.`);
  },
  "cache-exported"(_model, _lane, event, said) {
    return said("note", `Wrote ${count(event.steps, "step")} to the cache ${event.place}.`);
  },
  "push-started"(model, _lane, event, said) {
    model.pushing = { registry: event.registry, sent: 0, total: 0 };
    return said("note", `Pushing to ${event.registry} …`);
  },
  "push-progressed"(model, _lane, event) {
    model.pushing = { registry: model.pushing?.registry ?? null, sent: event.sent, total: event.total };
  },
  "push-finished"(_model, _lane, event, said) {
    return said("note", `${event.registry} has everything but the tags.`);
  },
  pushed(_model, _lane, event, said) {
    return said("note", `Pushed ${event.reference}.`);
  },
  missed(_model, _lane, event, said) {
    return said("warning", `${count(event.events, "event")} of this build cannot be shown.`);
  },
  finished(model, _lane, event, said) {
    model.ended = event.time;
    model.pushing = null;
    if (!event.error) return said("note", "The build is done.");
    if (event.error.error === "cancelled") return said("note", explained(event.error));
    return said("error", `The build failed. ${explained(event.error)}`);
  },
};

function endStep(lane, event, state) {
  const step = lane?.steps.get(event.step);
  if (!step) return null;
  const { shared = false, emulated = false } = event.work ?? {};
  return Object.assign(step, { state, ended: event.time, shared, emulated });
}

// What ran when its platform ended was stopped with it.
function stopSteps(lane, time) {
  for (const step of lane.steps.values()) {
    if (step.state === "running") Object.assign(step, { state: "stopped", ended: time });
  }
}

/**
 * Rows for bars that do not cover each other: each step with the row it is drawn in, counted from 0. `now` ends what has
 * not ended.
 */
export function packed(steps, now) {
  const ends = [];
  return [...steps].map((step) => {
    const end = step.ended ?? now;
    let row = ends.findIndex((free) => free <= step.started);
    if (row < 0) row = ends.length;
    ends[row] = end;
    return { step, row, end };
  });
}
