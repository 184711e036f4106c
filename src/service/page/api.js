// Asks the server. The token lives in the storage of this tab and goes away with it.

import { sentence } from "./words.js";

const BASE = new URL("../", import.meta.url);
const KEY = "polyarch-token";

/** An answer that is no success, or none at all. */
export class Refusal extends Error {
  /** `status` is that of HTTP, or 0 where the server could not be reached; `wait` is in milliseconds. */
  constructor(status, words, wait) {
    super(words);
    this.status = status;
    this.wait = wait;
  }
}

/** The token of this tab, or null. */
export function token() {
  return sessionStorage.getItem(KEY);
}

/** Keeps the token in this tab, or forgets it. */
export function keepToken(text) {
  if (text === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, text);
}

// How much the clock of the server is ahead of this machine's, in milliseconds.
let ahead = 0;

/** The time of the server, in milliseconds since 1970: what it says happened is compared with that. */
export function now() {
  return Date.now() + ahead;
}

function setClock(response) {
  const date = Date.parse(response.headers.get("date") ?? "");
  // The header has whole seconds, so a small difference says nothing.
  if (!Number.isNaN(date)) {
    const difference = date + 500 - Date.now();
    ahead = Math.abs(difference) > 2000 ? difference : 0;
  }
}

/** Asks for `path` and gives the response where it is a success. Throws a `Refusal` otherwise. */
export async function ask(path, { method = "GET", headers = {}, signal } = {}) {
  const all = new Headers(headers);
  const known = token();
  if (known) all.set("authorization", `Bearer ${known}`);
  let response;
  try {
    response = await fetch(new URL(path, BASE), {
      method, headers: all, signal, cache: "no-store", credentials: "same-origin", redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, "The server cannot be reached.");
  }
  setClock(response);
  if (response.ok) return response;
  throw await refusal(response);
}

/** Asks for a JSON document. Gives up after 15 seconds. */
export async function askJson(path, { signal, ...options } = {}) {
  const patience = AbortSignal.timeout(15000);
  const both = signal ? AbortSignal.any([signal, patience]) : patience;
  try {
    return await (await ask(path, { ...options, signal: both })).json();
  } catch (error) {
    if (error instanceof Refusal || signal?.aborted) throw error;
    throw new Refusal(0, patience.aborted ? "The server does not answer." : "The answer of the server broke off.");
  }
}

async function refusal(response) {
  let problem = {};
  try {
    if ((response.headers.get("content-type") ?? "").includes("json")) problem = await response.json();
  } catch {
    // An answer that breaks off still has its status.
  }
  const said = problem.detail ?? problem.title;
  const words = said ? sentence(said) : `The server answered ${response.status}.`;
  const seconds = Number(response.headers.get("retry-after"));
  const wait = Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 120) * 1000 : undefined;
  return new Refusal(response.status, words, wait);
}

/** The path of a build in the API, with what follows it. */
export function buildPath(id, rest = "") {
  return `v1/builds/${encodeURIComponent(id)}${rest}`;
}
