// Times, states and errors in words. Pure: nothing here touches the document.

const STATES = {
  queued: { word: "Queued", icon: "queued", tone: "calm" },
  running: { word: "Running", icon: "running", tone: "busy" },
  succeeded: { word: "Succeeded", icon: "done", tone: "good" },
  failed: { word: "Failed", icon: "failed", tone: "bad" },
  cancelled: { word: "Cancelled", icon: "stopped", tone: "calm" },
  superseded: { word: "Superseded", icon: "superseded", tone: "calm" },
  "timed-out": { word: "Timed out", icon: "clock", tone: "bad" },
  lost: { word: "Lost", icon: "lost", tone: "bad" },
  cancelling: { word: "Cancelling…", icon: "running", tone: "calm" },
  // Those of one platform.
  "backing-off": { word: "Waits to try again", icon: "clock", tone: "warn" },
  built: { word: "Built", icon: "done", tone: "good" },
  stopped: { word: "Stopped", icon: "stopped", tone: "calm" },
  // Those of one step.
  done: { word: "Done", icon: "done", tone: "good" },
  cached: { word: "Cached", icon: "cached", tone: "good" },
};

/** The states of builds, in the order in which they are offered. */
export const BUILD_STATES = ["running", "queued", "succeeded", "failed", "cancelled", "superseded", "timed-out", "lost"];

/** A state's word, drawing and tone. One that is not known here is shown as it is. */
export function described(state) {
  return STATES[state] ?? { word: state, icon: "lost", tone: "calm" };
}

/** Whether a build in this state will change no more. */
export function isFinal(state) {
  return state !== "queued" && state !== "running";
}

/** The state that is shown: a build that is being cancelled says so until it has ended. */
export function shownState(build) {
  return build.cancelling && !isFinal(build.state) ? "cancelling" : build.state;
}

/** What a build is called: its first tag, or its id where it has none. */
export function title(build) {
  return build.name ?? `Build ${shortId(build.id)}`;
}

/** The part of an id that people tell builds apart by. */
export function shortId(id) {
  return id.length > 14 ? `…${id.slice(-10)}` : id;
}

/** Where a build comes from, with digests as short as people tell them apart by. */
export function shortContext(text) {
  return text.replace(/(sha256:[0-9a-f]{12})[0-9a-f]{52}/g, "$1…");
}

/** A length of time: `7 ms`, `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`. */
export function duration(milliseconds) {
  const time = Math.max(0, milliseconds);
  if (time < 95) return `${Math.round(time)} ms`;
  if (time < 9950) return `${(time / 1000).toFixed(1)} s`;
  const seconds = Math.floor(time / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, "0")} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A length of time that ticks: no parts of seconds. */
export function ticking(milliseconds) {
  const whole = Math.max(0, Math.floor(milliseconds / 1000) * 1000);
  return whole < 10000 ? `${whole / 1000} s` : duration(whole);
}

/** How long ago something was. */
export function ago(then, now) {
  const seconds = Math.floor((now - then) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ago`;
  return `${Math.floor(hours / 24)} days ago`;
}

/** A number of things: `1 step`, `3 steps`. */
export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

/** A number of bytes. */
export function size(bytes) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Words as a sentence: a capital first, unless they begin with a platform or a path, and a full stop last. */
export function sentence(text) {
  const words = String(text ?? "").trim();
  if (!words) return "";
  const whole = /^\S*\//.test(words) ? words : words[0].toUpperCase() + words.slice(1);
  return /[.!?…:]$/.test(whole) ? whole : `${whole}.`;
}

function why(ruledOut) {
  return (ruledOut ?? []).map(({ backend, reason }) => `${backend} ${reason}`).join("; ");
}

const TIMED = { queue: "Waiting for a turn", step: "A step", push: "The push", total: "The build" };

function timedOut({ part, limit_ms: limit }) {
  if (part === "deadline") return "The deadline of the build has passed.";
  const units = [[1000, 1, "ms"], [120000, 1000, "s"], [Infinity, 60000, "min"]];
  const [, length, unit] = units.find(([end]) => limit < end);
  return `${TIMED[part] ?? "A part of the build"} took longer than ${Math.floor(limit / length)} ${unit}.`;
}

/** What there is a limit of: a word, or a word with whose or for what it is. */
function resource(named) {
  const [kind, of] = typeof named === "string" ? [named, ""] : Object.entries(named)[0];
  const words = { memory: "bytes of memory", disk: "bytes of disk", slots: "slots", key: `the key ${JSON.stringify(of)}` };
  return words[kind] ?? `slots ${kind === "platform" ? "for" : `of ${kind}`} ${of}`;
}

/** What went wrong on a platform, in the words of the command line. */
export function explained(error) {
  const before = error.place ? `${error.place.file}:${error.place.line}: ` : "";
  switch (error.error) {
    case "cancelled":
      return "The build was cancelled.";
    case "abandoned":
      return `Stopped because ${error.failed} failed.`;
    case "timed-out":
      return timedOut(error);
    case "step-failed":
      return `${error.instruction} failed with exit code ${error.exit_code}.`;
    case "base-image":
      return sentence(`${before}base image ${error.image} for ${error.platform}: ${error.reason}`);
    case "registry":
      return sentence(`${before}${error.image ? `cannot pull ${error.image}: ` : ""}${error.reason}`);
    case "no-backend":
      return sentence([`no backend here can build ${error.platform}`, why(error.ruled_out)].filter(Boolean).join(": "));
    case "unknown-backend":
      return `Unknown backend "${error.name}" (expected one of: ${error.known.join(", ")}).`;
    case "no-emulator":
      return `A step for ${error.platform} cannot run here: no emulator is registered for that CPU.`;
    case "no-space":
      return `No space left on the device that holds ${error.path}.`;
    case "wrong-platform":
      return `The backend built ${error.built} where ${error.requested} was asked for.`;
    case "busy":
      return `Backend ${error.backend} has no free slot.`;
    case "queue-full":
      return `The build queue is full (${error.limit} requests wait).`;
    case "too-large":
      return `It needs ${error.asked} ${resource(error.resource)}, and here are never more than ${error.limit}.`;
    case "panicked":
      return sentence(`backend ${error.backend} panicked: ${error.message}`);
    case "backend-lost":
      return `Backend ${error.backend} was lost while it built.`;
    case "shutting-down":
      return "The orchestrator is shutting down and takes no more builds.";
    default:
      return sentence(`${before}${error.message ?? error.reason ?? error.error}`);
  }
}

/** Who can do something about a failure of a build. */
export function advice(fault) {
  return {
    user: "The Dockerfile, its context or the request has to change.",
    host: "Whoever looks after the machine that builds can help.",
    registry: "A registry or the network to it is the cause.",
    policy: "A rule that was asked for ended it.",
    cancelled: "Somebody cancelled it.",
  }[fault];
}
