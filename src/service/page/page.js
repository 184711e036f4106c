// The page of a polyarch server: which view is shown, and what all views share.

import { Refusal, keepToken, token } from "./api.js";
import { showBackends } from "./backends-view.js";
import { showBuild } from "./build-view.js";
import { showBuilds } from "./builds-view.js";
import { announce, element, setAttribute, setText } from "./dom.js";
import { showQueue } from "./queue-view.js";
import { showSignIn } from "./sign-in.js";

const main = document.getElementById("main");
const notice = document.getElementById("notice");
const connection = document.getElementById("connection");
const signOut = document.getElementById("sign-out");
let leave = new AbortController();
let shown = null;

/** The view of a hash, with what it is asked to show. */
function routed(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").map(decoded);
  if (parts[0] === "" || (parts[0] === "builds" && !parts[1])) {
    return { name: "builds", show: showBuilds, options: { state: new URLSearchParams(query).get("state") } };
  }
  if (parts[0] === "builds" && parts.length === 2) return { name: "builds", show: showBuild, options: { id: parts[1] } };
  if (parts[0] === "queue" && parts.length === 1) return { name: "queue", show: showQueue, options: {} };
  if (parts[0] === "backends" && parts.length === 1) return { name: "backends", show: showBackends, options: {} };
  return { name: "", show: showNothing, options: {} };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function showNothing(page) {
  page.title("No such page");
  page.main.replaceChildren(element("h1", { tabindex: "-1" }, "There is no such page"), element("p", {}, element("a", { href: "#/builds" }, "Show all builds.")));
}

/** What a view may do with the page around it. `signal` ends when the view is left. */
function pageFor(signal, opened) {
  return {
    main,
    signal,
    title: (text) => {
      if (!signal.aborted) document.title = `${text} – polyarch`;
    },
    notice: (sentence) => {
      if (!signal.aborted) setNotice(sentence);
    },
    connection: (state, why) => {
      if (!signal.aborted || state === null) setConnection(state, why);
    },
    refused: (error) => {
      if (signal.aborted) return;
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 401) askForToken();
      else setNotice(error.message);
    },
    signIn: () => {
      if (!signal.aborted) askForToken();
    },
    arrived: () => {
      if (!opened) focusHeading();
    },
  };
}

function setNotice(sentence) {
  setText(notice, sentence ?? "");
  notice.hidden = !sentence;
}

function setConnection(state, why) {
  connection.hidden = state !== "live" && state !== "reconnecting";
  setAttribute(connection, "class", `connection ${state ?? ""}`);
  const text = { live: "Live", reconnecting: [why, "Reconnecting …"].filter(Boolean).join(" ") }[state] ?? "";
  if (state === "reconnecting" && connection.textContent !== text) announce("Reconnecting");
  setText(connection, text);
}

function focusHeading() {
  main.querySelector("h1")?.focus({ preventScroll: true });
}

function show() {
  leave.abort();
  leave = new AbortController();
  setNotice(null);
  setConnection(null);
  announce("");
  signOut.hidden = token() === null;
  const { name, show: view, options } = routed(location.hash);
  for (const link of document.querySelectorAll("nav [data-page]")) {
    setAttribute(link, "aria-current", link.dataset.page === name ? "page" : null);
  }
  const opened = shown === null;
  const filtered = view === showBuilds && shown === showBuilds;
  shown = view;
  view(pageFor(leave.signal, opened), options);
  // A reader who follows a link begins to read there; one who opens the page, at its top.
  if (filtered) {
    main.querySelector(".filter [aria-current]")?.focus({ preventScroll: true });
  } else if (!opened) {
    scrollTo(0, 0);
    focusHeading();
  }
}

function askForToken() {
  leave.abort();
  leave = new AbortController();
  setNotice(null);
  setConnection(null);
  announce("");
  showSignIn(pageFor(leave.signal, false), show);
  keepToken(null);
  signOut.hidden = true;
}

signOut.addEventListener("click", () => {
  keepToken(null);
  askForToken();
});
document.getElementById("skip").addEventListener("click", () => main.focus());
addEventListener("hashchange", show);
show();
