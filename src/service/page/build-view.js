// One build: its state, its lanes, its log, and what came of it.

import { Refusal, ask, askJson, buildPath, now } from "./api.js";
import { announce, element, icon, moment, setAttribute, setIcon, setPath, setText } from "./dom.js";
import { LanesView } from "./lanes-view.js";
import { LogView } from "./log-view.js";
import { BuildModel } from "./model.js";
import { poll } from "./poll.js";
import { receiptOf } from "./receipt-view.js";
import { EventStream } from "./stream.js";
import { advice, ago, count, described, duration, isFinal, sentence, shortContext, shownState, size, ticking, title } from "./words.js";

/** So long a page that nobody sees keeps its connection. */
const PATIENCE = 30000;
const HIDDEN_POLL = 10000;

/** Shows the build `id`. */
export function showBuild(page, { id }) {
  page.title(`Build ${id}`);
  page.main.replaceChildren(element("p", { class: "empty" }, "Asking for the build …"));
  let view = null;
  const refresh = async () => {
    let build;
    try {
      build = await askJson(buildPath(id), { signal: page.signal });
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) {
        showMissing(page);
        return false;
      }
      throw error;
    }
    view ??= new BuildView(page, build, () => hurry());
    view.update(build);
    return !isFinal(build.state);
  };
  const hurry = poll(refresh, { signal: page.signal, page, hidden: HIDDEN_POLL });
}

function showMissing(page) {
  page.title("No such build");
  const heading = element("h1", { tabindex: "-1" }, "There is no such build");
  const words = element("p", {}, "It may have been removed, or it belongs to somebody else. ", element("a", { href: "#/builds" }, "Show all builds."));
  page.main.replaceChildren(heading, words);
  heading.focus({ preventScroll: true });
}

class BuildView {
  constructor(page, build, hurry) {
    this.page = page;
    this.hurry = hurry;
    this.build = build;
    this.announced = null;
    this.receipt = null;
    this.frame = 0;
    this.model = new BuildModel(build.platforms);
    this.lanes = new LanesView({ jump: (platform, step) => this.log.jump(platform, step) });
    this.log = new LogView({ download: () => this.download() });
    this.log.setPlatforms(build.platforms);
    this.draw();
    this.stream = new EventStream(build.id, {
      events: (events) => this.take(events),
      connection: (state, why) => page.connection(state, why),
      refused: (refusal) => this.refused(refusal),
    });
    this.stream.resume();
    const clock = setInterval(() => document.hidden || this.tick(), 1000);
    let patience = 0;
    const seen = () => {
      clearTimeout(patience);
      if (document.hidden) patience = setTimeout(() => this.stream.pause(), PATIENCE);
      else this.stream.resume();
    };
    document.addEventListener("visibilitychange", seen, { signal: page.signal });
    page.signal.addEventListener("abort", () => {
      clearInterval(clock);
      clearTimeout(patience);
      cancelAnimationFrame(this.frame);
      this.stream.close();
      this.log.close();
      page.connection(null);
    });
  }

  draw() {
    const { build } = this;
    this.icon = icon("queued");
    this.word = element("span", { class: "word" });
    this.badge = element("span", { class: "badge large" }, this.icon, this.word);
    this.heading = element("h1", { tabindex: "-1" });
    this.cancel = element("button", { type: "button", class: "danger" }, "Cancel build");
    this.cancel.addEventListener("click", () => this.askToCancel());
    this.waiting = element("p", { class: "banner", hidden: true });
    this.pushing = element("p", { class: "banner", hidden: true });
    this.error = element("div", { class: "banner bad", hidden: true }, icon("failed"), element("p"));
    this.facts = element("dl", { class: "facts" });
    this.result = element("div", { class: "result" });
    const back = element("a", { href: "#/builds", class: "back" }, "All builds");
    const head = element("div", { class: "build-head" }, element("div", {}, back, this.heading), this.badge, this.cancel);
    const columns = element("div", { class: "columns" }, this.lanes.element, this.log.element);
    setPath(this.heading, title(build));
    this.page.main.replaceChildren(head, this.facts, this.waiting, this.pushing, this.error, this.result, columns);
    this.page.arrived();
  }

  update(build) {
    this.build = build;
    const state = shownState(build);
    const { word, icon: drawing, tone } = described(state);
    setIcon(this.icon, drawing);
    setText(this.word, word);
    setAttribute(this.badge, "class", `badge large ${tone}`);
    setPath(this.heading, title(build));
    this.page.title(`${word}: ${title(build)}`);
    // What is there when the page opens is read as the page; only what changes is said.
    if (this.announced !== null && this.announced !== state) announce(`${title(build)}: ${word.toLowerCase()}`);
    this.announced = state;

    const over = isFinal(build.state);
    this.stream.over = over;
    if (over && this.cancel.contains(document.activeElement)) this.heading.focus({ preventScroll: true });
    this.cancel.hidden = over;
    // A disabled button would lose the focus of whoever has just pressed it.
    setAttribute(this.cancel, "aria-disabled", build.cancelling ? "true" : null);
    setText(this.cancel, build.cancelling ? "Being cancelled …" : "Cancel build");
    if (over) this.dialog?.close();

    const waits = build.state === "queued" && build.waiting;
    this.waiting.hidden = !waits;
    if (waits) {
      const ahead = build.waiting.ahead;
      setText(this.waiting, `${ahead > 0 ? `${count(ahead, "build is", "builds are")} ahead of it` : "It is next"}. ${sentence(build.waiting.reason)}`);
    }
    this.error.hidden = !build.error || build.error.fault === "cancelled";
    if (build.error) setText(this.error.lastChild, [sentence(build.error.message), advice(build.error.fault)].filter(Boolean).join(" "));
    this.drawFacts();
    if (build.state === "succeeded" && !this.receipt) this.askForReceipt();
    this.tick();
  }

  drawFacts() {
    const { build } = this;
    const facts = [["Build", element("code", {}, build.id)], ["Context", element("span", { title: build.context }, shortContext(build.context))]];
    facts.push(["Submitted", moment(build.submitted)], ["Time", element("span")]);
    if (build.tenant && build.tenant !== "default") facts.push(["Tenant", build.tenant]);
    if (build.priority) facts.push(["Priority", String(build.priority)]);
    if (build.attempt > 1) facts.push(["Attempt", String(build.attempt)]);
    if (build.attached > 0) facts.push(["Shared by", count(build.attached + 1, "submission")]);
    const names = facts.map(([name]) => name).join();
    // The same facts keep their elements, and with them what is selected in them.
    if (this.factNames === names) return;
    this.factNames = names;
    this.facts.replaceChildren(...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
    this.submitted = this.facts.querySelector("time");
    this.time = facts.find(([name]) => name === "Time")[1];
  }

  tick() {
    this.frame = 0;
    const { build } = this;
    const time = now();
    setText(this.submitted, ago(build.submitted, time));
    const ended = build.ended ?? (isFinal(build.state) ? build.submitted : null);
    if (build.started === null) setText(this.time, ended === null ? `waits ${ticking(time - build.submitted)}` : "–");
    else setText(this.time, ended === null ? ticking(time - build.started) : duration(ended - build.started));
    // A lane of a build that has ended goes on no more, whatever its last event was.
    const until = build.ended ?? this.model.ended ?? time;
    this.lanes.update(this.laneStates(), until);
    const { pushing } = this.model;
    this.pushing.hidden = !pushing || isFinal(build.state);
    if (pushing) {
      const part = pushing.total > 0 ? ` ${size(pushing.sent)} of ${size(pushing.total)} are there.` : "";
      setText(this.pushing, `Pushing to ${pushing.registry ?? "a registry"}.${part}`);
    }
  }

  // What the events said, and where they said nothing yet, or will say nothing more, what the build's record says.
  laneStates() {
    const over = isFinal(this.build.state);
    return [...this.model.lanes.values()].map((lane) => {
      const record = this.build.lanes?.find((one) => one.platform === lane.platform);
      const silent = lane.started === null && lane.state === "queued" && record;
      const state = silent ? record.state : lane.state;
      const unfinished = over && ["queued", "running", "backing-off"].includes(state);
      return { ...lane, backend: lane.backend ?? record?.backend ?? null, state: unfinished ? "stopped" : state };
    });
  }

  take(events) {
    const said = [];
    for (const event of events) {
      for (const line of this.model.apply(event)) said.push(line);
      if (event.event === "image-built") announce(`${event.platform} is built`);
      if (event.event === "platform-failed") announce(`${event.platform} failed`);
    }
    this.log.setPlatforms(this.model.lanes.keys());
    this.log.append(said);
    // However many events come, what is seen is drawn once a frame.
    this.frame ||= requestAnimationFrame(() => this.tick());
    if (events.at(-1).event === "finished" && !isFinal(this.build.state)) this.hurry();
  }

  refused(refusal) {
    if (refusal.status === 401) this.page.signIn(refusal);
    else setText(this.log.empty, `The events of this build cannot be shown: ${refusal.message}`);
    this.page.connection(null);
  }

  askToCancel() {
    if (this.build.cancelling) return;
    const yes = element("button", { type: "button", class: "danger" }, "Yes, cancel it");
    const no = element("button", { type: "button", autofocus: true }, "Keep it going");
    const name = element("h2", { id: "cancel-title" }, "Cancel this build?");
    const words = element("p", {}, `${title(this.build)} stops on all platforms, and nothing is published.`);
    this.dialog = element("dialog", { "aria-labelledby": "cancel-title" }, name, words, element("div", { class: "choices" }, no, yes));
    no.addEventListener("click", () => this.dialog.close());
    yes.addEventListener("click", () => {
      this.dialog.close();
      this.cancelNow();
    });
    this.dialog.addEventListener("close", () => this.dialog.remove());
    this.page.main.append(this.dialog);
    this.dialog.showModal();
  }

  async cancelNow() {
    this.update({ ...this.build, cancelling: true });
    try {
      this.update(await askJson(buildPath(this.build.id, "/cancel"), { method: "POST", signal: this.page.signal }));
    } catch (error) {
      // Whoever cancels a build that has just ended learns from its state that it has.
      if (!(error instanceof Refusal) || error.status !== 409) this.page.refused(error);
      this.update({ ...this.build, cancelling: false });
    }
    this.hurry();
  }

  async askForReceipt() {
    this.receipt = "asked";
    try {
      const receipt = await askJson(buildPath(this.build.id, "/receipt"), { signal: this.page.signal });
      this.result.replaceChildren(receiptOf(receipt, this.build));
    } catch (error) {
      if (this.page.signal.aborted) return;
      if (!(error instanceof Refusal)) throw error;
      const text = this.build.index ? `The index is ${this.build.index}.` : "";
      this.result.replaceChildren(element("p", {}, `${text} The receipt cannot be shown: ${error.message}`));
    }
  }

  async download() {
    try {
      const response = await ask(buildPath(this.build.id, "/log"), { signal: this.page.signal });
      const address = URL.createObjectURL(await response.blob());
      element("a", { href: address, download: `${this.build.id}.log` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
    } catch (error) {
      const told = error instanceof Refusal || this.page.signal.aborted;
      this.page.refused(told ? error : new Refusal(0, "The log broke off."));
    }
  }
}
