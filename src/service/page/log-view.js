// What the steps of a build print, as it comes. It follows the end unless the reader scrolled up.

import { decoded, lines, parts } from "./ansi.js";
import { element, setAttribute, setText } from "./dom.js";
import { count } from "./words.js";

/** So many lines are kept; the ones before are in the download. */
const MOST = 20000;
const UP = ["ArrowUp", "PageUp", "Home"];
const CHUNK = 500;
const LINES_A_FRAME = 4000;

/** The log of one build. `element` is what is shown of it; `download` is called for the whole log. */
export class LogView {
  constructor({ download }) {
    this.chunks = [];
    this.waiting = [];
    this.kept = 0;
    this.dropped = 0;
    this.only = "";
    this.following = true;
    this.top = 0;
    this.styles = new Map();
    this.heads = new Map();
    this.source = null;
    this.frame = 0;
    this.several = false;

    this.chooser = element("select", { id: "log-platform" }, element("option", { value: "" }, "All platforms"));
    this.chooser.addEventListener("change", () => this.show(this.chooser.value));
    this.choice = element("label", { class: "choice" }, element("span", { class: "hidden" }, "Platform of the log"), this.chooser);
    this.follow = element("button", { type: "button", class: "quiet", "aria-pressed": "true" }, "Follow");
    this.follow.addEventListener("click", () => this.setFollowing(!this.following));
    const save = element("button", { type: "button", class: "quiet" }, "Download");
    save.addEventListener("click", download);
    this.cut = element("p", { class: "faint log-cut", hidden: true });
    this.empty = element("p", { class: "faint log-empty" }, "Nothing was printed yet.");
    this.body = element("div", { class: "log-lines", role: "region", "aria-label": "Lines of the log", tabindex: "0" }, this.cut, this.empty);
    this.body.addEventListener("wheel", (event) => this.leaving(event), { passive: true });
    this.body.addEventListener("keydown", (event) => this.leaving(event));
    this.body.addEventListener("scroll", () => this.scrolled(), { passive: true });
    const heading = element("h2", { id: "log-title" }, "Log");
    const tools = element("div", { class: "log-tools" }, heading, this.follow, save, this.choice);
    this.element = element("section", { class: "log", "aria-labelledby": "log-title" }, tools, this.body);
    this.resized = new ResizeObserver(() => this.toEnd());
    this.resized.observe(this.body);
  }

  /** Says which platforms there are to choose from. */
  setPlatforms(platforms) {
    for (const platform of platforms) {
      const known = [...this.chooser.options].some((option) => option.value === platform);
      if (!known) this.chooser.append(element("option", { value: platform }, platform));
    }
    this.several = this.chooser.options.length > 2;
    this.choice.hidden = !this.several;
    this.body.classList.toggle("several", this.several);
  }

  /** Takes the lines that a `BuildModel` gave. */
  append(said) {
    for (const { kind, platform, step, text } of said) {
      const source = `${platform ?? ""}#${step ?? ""}`;
      if (kind === "step") this.styles.delete(source);
      if (kind !== "output") {
        this.waiting.push({ kind, platform, step, source, parts: [{ text, style: "" }] });
        continue;
      }
      if (!this.styles.has(source)) this.styles.set(source, { colour: "", bold: false, faint: false });
      const style = this.styles.get(source);
      for (const line of lines(decoded(text))) {
        this.waiting.push({ kind, platform, step, source, parts: parts(line, style) });
      }
    }
    if (this.waiting.length > 2 * MOST) this.dropped += this.waiting.splice(0, this.waiting.length - MOST).length;
    this.soon();
  }

  soon() {
    if (this.frame === 0 && this.waiting.length > 0) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    for (const record of this.waiting.splice(0, LINES_A_FRAME)) this.add(record);
    while (this.kept > MOST) this.drop();
    this.empty.hidden = this.kept > 0;
    this.cut.hidden = this.dropped === 0;
    setText(this.cut, `The first ${count(this.dropped, "line")} are not shown; the download has all of them.`);
    this.toEnd();
    this.soon();
  }

  add(record) {
    let chunk = this.chunks.at(-1);
    if (!chunk || chunk.records.length >= CHUNK) {
      if (chunk) seal(this.chunks.at(-2));
      chunk = { records: [], element: element("div", { class: "chunk" }) };
      this.chunks.push(chunk);
      this.body.append(chunk.element);
    }
    record.chunk = chunk;
    chunk.records.push(record);
    this.kept += 1;
    if (record.kind === "step") this.heads.set(record.source, record);
    if (this.shows(record)) chunk.element.append(this.drawn(record));
  }

  drop() {
    const chunk = this.chunks.shift();
    chunk.element.remove();
    this.kept -= chunk.records.length;
    this.dropped += chunk.records.length;
    for (const record of chunk.records) {
      if (this.heads.get(record.source) === record) this.heads.delete(record.source);
    }
  }

  shows(record) {
    return this.only === "" || record.platform === this.only || record.platform === null;
  }

  drawn(record) {
    const line = element("div", { class: `line ${record.kind}` });
    const where = [this.several ? record.platform : null, record.step === null ? null : `#${record.step}`];
    line.dataset.where = where.filter(Boolean).join(" ");
    // A line that goes on with what the one before was about need not say it again where room is scarce.
    if (record.source !== this.source) line.classList.add("first");
    this.source = record.source;
    const text = element("span");
    for (const part of record.parts) text.append(part.style ? element("span", { class: part.style }, part.text) : part.text);
    line.append(text);
    record.line = line;
    return line;
  }

  show(platform) {
    this.only = platform;
    this.source = null;
    for (const chunk of this.chunks) {
      chunk.element.classList.remove("sealed");
      chunk.element.replaceChildren(...chunk.records.filter((record) => this.shows(record)).map((record) => this.drawn(record)));
    }
    for (const chunk of this.chunks.slice(0, -2)) seal(chunk);
    this.toEnd();
  }

  /** Brings the beginning of a step into sight, or what is left of the log where that is no longer in it, and stays there. */
  jump(platform, step) {
    while (this.waiting.length > 0) this.draw();
    const head = this.heads.get(`${platform}#${step}`);
    if (head && !this.shows(head)) {
      this.chooser.value = "";
      this.show("");
    }
    this.setFollowing(false);
    this.body.querySelector(".line.here")?.classList.remove("here");
    head?.line.classList.add("here");
    this.element.scrollIntoView({ block: "nearest" });
    const place = head?.line ?? this.cut;
    this.body.scrollTop += place.getBoundingClientRect().top - this.body.getBoundingClientRect().top - 8;
    this.body.focus({ preventScroll: true });
  }

  setFollowing(following) {
    this.following = following;
    setAttribute(this.follow, "aria-pressed", String(following));
    this.toEnd();
  }

  // A browser scrolls smoothly, and would be brought back to the end by every line that comes before it got anywhere.
  leaving(event) {
    const up = event.deltaY < 0 || UP.includes(event.key) || (event.key === " " && event.shiftKey);
    if (up && this.body.scrollHeight > this.body.clientHeight) this.setFollowing(false);
    // What comes while the browser is on its way there would leave it short of the end.
    if (event.key === "End") this.setFollowing(true);
  }

  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.body;
    const left = scrollHeight - scrollTop - clientHeight;
    if (scrollTop < this.top && left > 2) this.setFollowing(false);
    else if (scrollTop > this.top && left < 24) this.setFollowing(true);
    this.top = scrollTop;
  }

  toEnd() {
    if (this.following) this.body.scrollTop = this.body.scrollHeight;
  }

  close() {
    this.resized.disconnect();
    cancelAnimationFrame(this.frame);
  }
}

// A chunk that gets no more lines is laid out only while it is in sight; its height is remembered, so that nothing jumps.
function seal(chunk) {
  if (!chunk || chunk.element.classList.contains("sealed")) return;
  chunk.element.style.containIntrinsicBlockSize = `auto ${chunk.element.offsetHeight}px`;
  chunk.element.classList.add("sealed");
}
