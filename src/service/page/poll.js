// Asks again and again, as long as somebody looks.

import { Refusal } from "./api.js";
import { pass } from "./stream.js";

const EVERY = 2000;
const LONGEST_WAIT = 15000;

/**
 * Calls `task` now and again every 2 seconds until `signal`, or until it gives `false`. While the page is out of sight it
 * is called every `hidden` milliseconds, or not at all where that is 0. What the server refuses is said to `page`.
 *
 * Gives a function that has it called at once.
 */
export function poll(task, { signal, page, hidden = 0 }) {
  let wake = new AbortController();
  const hurry = () => wake.abort();
  document.addEventListener("visibilitychange", hurry, { signal });
  const run = async () => {
    let failures = 0;
    while (!signal.aborted) {
      wake = new AbortController();
      let wait = document.hidden ? hidden || Infinity : EVERY;
      try {
        if (wait === Infinity) {
          // Nobody looks; whoever does so again wakes it.
        } else if ((await task()) === false) {
          page.notice(null);
          return;
        } else {
          failures = 0;
          page.notice(null);
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Refusal)) {
          page.notice("This page does not understand the server: please load it again.");
          throw error;
        }
        if (error.status === 401) {
          page.signIn(error);
          return;
        }
        failures += 1;
        wait = error.wait ?? Math.min(LONGEST_WAIT, EVERY * 2 ** (failures - 1));
        page.notice(`${error.message} ${again(error, wait)}`);
      }
      const woken = AbortSignal.any([signal, wake.signal]);
      await (wait === Infinity ? aborted(woken) : pass(wait, woken));
    }
  };
  run();
  return hurry;
}

function again(error, wait) {
  return error.wait ? `Trying again in ${Math.ceil(wait / 1000)} s.` : "Trying again.";
}

function aborted(signal) {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", resolve, { once: true });
  });
}
