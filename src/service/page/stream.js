// The events of a build, each once and in order, over as many connections as it takes.

import { Refusal, ask, buildPath } from "./api.js";

// A connection on which nothing came for so long, not even a comment, is taken for dead.
const SILENCE = 60000;
const SHORTEST_WAIT = 500;
const LONGEST_WAIT = 15000;

/** Cuts a stream of server-sent events into messages. Source: HTML standard, "Parsing an event stream". */
export class EventParser {
  constructor() {
    this.rest = "";
    this.fields = { id: null, event: "", data: [] };
  }

  /** Takes the next text and gives the messages that it completed. */
  take(text) {
    const found = [];
    this.rest += text;
    // A carriage return at the very end may be half of a line's end.
    const usable = this.rest.endsWith("\r") ? this.rest.length - 1 : this.rest.length;
    const lines = this.rest.slice(0, usable).split(/\r\n|\n|\r/);
    this.rest = lines.pop() + this.rest.slice(usable);
    for (const line of lines) {
      if (line === "") {
        if (this.fields.data.length > 0) found.push({ ...this.fields, data: this.fields.data.join("\n") });
        this.fields = { id: null, event: "", data: [] };
      } else {
        this.field(line);
      }
    }
    return found;
  }

  field(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.fields.data.push(value);
    else if (name === "event") this.fields.event = value;
    else if (name === "id") this.fields.id = value;
  }
}

/**
 * Follows a build until its last event. `on.events` gets the next events; `on.connection` gets `live`, `ended`, or
 * `reconnecting` with what the server said, if it said anything; `on.refused` gets a `Refusal` after which there is no sense in trying again.
 * `pause` and `resume` close and open the connection without losing a thing.
 */
export class EventStream {
  constructor(id, on) {
    this.id = id;
    this.on = on;
    this.last = -1;
    this.failures = 0;
    this.finished = false;
    // Whether the build has ended for sure: then a stream that ends has said all there is.
    this.over = false;
    this.stopped = new AbortController();
    this.paused = null;
  }

  resume() {
    const following = this.paused && !this.paused.signal.aborted;
    if (following || this.finished || this.stopped.signal.aborted) return;
    this.paused = new AbortController();
    this.follow(AbortSignal.any([this.stopped.signal, this.paused.signal]));
  }

  pause() {
    this.paused?.abort();
  }

  close() {
    this.stopped.abort();
  }

  async follow(signal) {
    while (!signal.aborted) {
      let failure = null;
      const { over } = this;
      try {
        await this.connect(signal);
      } catch (error) {
        failure = error;
      }
      if (signal.aborted) return;
      this.finished ||= over && failure === null;
      if (this.finished) {
        this.on.connection("ended");
        return;
      }
      if (failure instanceof Refusal && [400, 401, 403, 404, 410].includes(failure.status)) {
        this.close();
        this.on.refused(failure);
        return;
      }
      this.failures += 1;
      const backoff = Math.min(LONGEST_WAIT, SHORTEST_WAIT * 2 ** (this.failures - 1));
      const wait = failure?.wait ?? backoff * (0.75 + Math.random() / 2);
      this.on.connection("reconnecting", failure instanceof Refusal && failure.status > 0 ? failure.message : null);
      await pass(wait, signal);
    }
  }

  async connect(signal) {
    const silence = new AbortController();
    const headers = { accept: "text/event-stream" };
    if (this.last >= 0) headers["last-event-id"] = String(this.last);
    let clock = setTimeout(() => silence.abort(), SILENCE);
    try {
      const path = buildPath(this.id, "/events");
      const response = await ask(path, { headers, signal: AbortSignal.any([signal, silence.signal]) });
      this.on.connection("live");
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new EventParser();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || signal.aborted) return;
        clearTimeout(clock);
        clock = setTimeout(() => silence.abort(), SILENCE);
        this.deliver(parser.take(value));
        if (this.finished) {
          reader.cancel().catch(() => {});
          return;
        }
      }
    } finally {
      clearTimeout(clock);
    }
  }

  deliver(messages) {
    const fresh = [];
    for (const message of messages) {
      let event;
      try {
        event = JSON.parse(message.data);
      } catch {
        continue;
      }
      const sequence = Number(message.id ?? event.sequence);
      // What a connection before this one brought is not new.
      if (!Number.isInteger(sequence) || sequence <= this.last) continue;
      if (sequence > this.last + 1) fresh.push({ event: "missed", events: sequence - this.last - 1, time: event.time });
      this.last = sequence;
      fresh.push(event);
      if (event.event === "finished") this.finished = true;
    }
    if (fresh.length === 0) return;
    this.failures = 0;
    this.on.events(fresh);
  }
}

/** Passes so many milliseconds, or until the signal. */
export function pass(milliseconds, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const clock = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(clock);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
