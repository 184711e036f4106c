// What a build that succeeded left behind.

import { announce, cell, element, row, rows, table } from "./dom.js";
import { count, duration, explained } from "./words.js";

/** A receipt as an element: the index, where it was published, and each image. */
export function receiptOf(receipt, build) {
  const heading = element("h2", { id: "result-title" }, "Result");
  const digest = receipt.index.digest;
  const facts = element("dl", { class: "facts wide" }, fact("Index", digestOf(digest)));
  const pushed = receipt.pushed?.length > 0 ? receipt.pushed.map((one) => one.reference) : [];
  if (pushed.length > 0) facts.append(fact("Published as", names(pushed, digest)));
  else if (receipt.tags?.length > 0) facts.append(fact("In the store as", names(receipt.tags, null)));
  if (receipt.exported?.length > 0) facts.append(fact("Written to", names(receipt.exported, null)));
  const images = table(`The images of ${build.name ?? "the build"}`, ["Platform", "Manifest", "Built by", "Time"], { class: "images" });
  const body = rows();
  for (const image of receipt.images ?? []) {
    const by = [image.backend, image.emulated ? "emulated" : null, image.retries > 0 ? count(image.retries, "retry", "retries") : null];
    body.append(row({}, [
      cell({ class: "strong" }, image.platform),
      cell({}, digestOf(image.manifest.digest)),
      cell({}, by.filter(Boolean).join(" · ")),
      cell({}, duration(image.duration)),
    ]));
  }
  images.append(body);
  const missing = (receipt.missing ?? []).map((one) => element("li", {}, `${one.platform} is not in the index. ${explained(one.error)}`));
  const parts = [heading, facts, images];
  if (missing.length > 0) parts.push(element("ul", { class: "missing" }, missing));
  return element("section", { class: "receipt", "aria-labelledby": "result-title" }, parts);
}

function fact(name, value) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, value));
}

function names(references, digest) {
  return element("ul", { class: "plain" }, references.map((reference) => {
    const pinned = digest ? `${reference}@${digest}` : reference;
    return element("li", {}, element("code", {}, reference), copier(pinned, `Copy ${reference} with its digest`));
  }));
}

function digestOf(digest) {
  const short = digest.replace(/^(sha256:.{12}).*$/, "$1…");
  return [element("code", { title: digest }, short), copier(digest, `Copy the digest ${short}`)];
}

// Browsers let a page write to the clipboard over TLS and on this machine only.
function copier(text, name) {
  if (!navigator.clipboard) return null;
  const button = element("button", { type: "button", class: "copy", "aria-label": name }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      announce("Copied");
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => {
      button.textContent = "Copy";
    }, 2000);
  });
  return button;
}
