// Asks for the token of a tenant.

import { keepToken, token } from "./api.js";
import { element } from "./dom.js";

/** Shows the field for the token, with what the server said; `done` is called when one was given. */
export function showSignIn(page, done) {
  page.title("Sign in");
  const refused = token() !== null;
  const heading = element("h1", { tabindex: "-1" }, "Sign in");
  const field = element("input", {
    type: "password", id: "token", name: "token", required: true, autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    "aria-describedby": refused ? "token-error token-help" : "token-help", "aria-invalid": refused ? "true" : null,
  });
  const error = refused ? element("p", { id: "token-error", class: "bad", role: "alert" }, "The server does not know this token.") : null;
  const help = element("p", { id: "token-help", class: "faint" }, "It stays in this tab and is forgotten when the tab closes.");
  const label = element("label", { for: "token" }, "Token");
  const send = element("button", { type: "submit", class: "primary" }, "Sign in");
  const form = element("form", { class: "sign-in" }, heading, element("p", {}, "This server shows builds to those who have a token."), label, field, error, help, send);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = field.value.trim();
    // A header holds visible ASCII only, and so does every token.
    if (!/^[\x21-\x7e]+$/.test(given)) {
      field.setCustomValidity("A token has letters, digits and signs, without a space.");
      field.reportValidity();
      return;
    }
    keepToken(given);
    done();
  });
  field.addEventListener("input", () => field.setCustomValidity(""));
  page.main.replaceChildren(form);
  field.focus();
}
