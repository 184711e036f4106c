// What a step printed, as text with styles that cannot do any harm. Pure.

// One sequence that a terminal acts on: of colours and the cursor (CSI), of titles and links (OSC and the like), or short.
const SEQUENCE =
  /(?:\u001b\[|\u009b)([0-?]*)[ -/]*([@-~])|\u001b[P\]X^_][^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)?|\u001b[ -/]*[0-~]?/g;
// What is left that has no picture, or that turns the direction of the text around it.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
/** The longest line that is shown whole, in characters. */
export const LONGEST = 4000;

/** The bytes of an event as text: a text, or `{"hex"}` where they are not UTF-8. */
export function decoded(data) {
  if (typeof data === "string") return data;
  const pairs = String(data?.hex ?? "").match(/[0-9a-f]{2}/gi) ?? [];
  return new TextDecoder().decode(Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16)));
}

/** The lines of some output. The end of the last one belongs to it. */
export function lines(text) {
  const found = text.split("\n");
  if (found.at(-1) === "") found.pop();
  return found;
}

/**
 * One line as parts, each a text with the names of its styles. `style` is what earlier lines left switched on, and is
 * changed to what this one leaves.
 */
export function parts(line, style) {
  // What a carriage return brings the cursor back over is not seen on a terminal either.
  const text = line.replace(/\r+$/, "");
  const seen = text.slice(text.lastIndexOf("\r") + 1);
  const found = [];
  let from = 0;
  let room = LONGEST;
  const add = (piece) => {
    const clean = piece.replace(UNSEEN, "\ufffd");
    if (!clean || room <= 0) return;
    found.push({ text: clean.slice(0, room), style: names(style) });
    room -= clean.length;
  };
  // Styles that are switched on before the carriage return stay on.
  for (const match of text.slice(0, text.length - seen.length).matchAll(SEQUENCE)) turn(match, style);
  for (const match of seen.matchAll(SEQUENCE)) {
    add(seen.slice(from, match.index));
    from = match.index + match[0].length;
    turn(match, style);
  }
  add(seen.slice(from));
  if (room < 0) found.push({ text: ` … ${-room} more characters`, style: "more" });
  return found;
}

function turn([, codes, last], style) {
  if (last !== "m") return;
  const numbers = (codes || "0").split(/[;:]/).map(Number);
  for (let at = 0; at < numbers.length; at += 1) {
    const code = numbers[at];
    if (code === 0) Object.assign(style, { colour: "", bold: false, faint: false });
    else if (code === 1) style.bold = true;
    else if (code === 2) style.faint = true;
    else if (code === 22) Object.assign(style, { bold: false, faint: false });
    else if (code >= 30 && code <= 37) style.colour = NAMES[code - 30];
    else if (code >= 90 && code <= 97) style.colour = NAMES[code - 90];
    else if (code === 39) style.colour = "";
    // The colours of a larger palette are left as they are, and those of the ground always.
    else if (code === 38 || code === 48) at += numbers[at + 1] === 5 ? 2 : 4;
  }
}

function names(style) {
  const found = [];
  if (style.colour) found.push(`ansi-${style.colour}`);
  if (style.bold) found.push("bold");
  if (style.faint) found.push("faint");
  return found.join(" ");
}
