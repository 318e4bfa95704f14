// A message template while it is written: the mail it makes shows beside it, made by the server that will send it. What
// can't be filled in gets its sentence at the field before anybody presses Save.
import { ask, parsed } from "./dialogs.js";

const form = document.querySelector("[data-template-form]");
const PAUSE = 400; // ms without a key before the server is asked
let timer = 0;
let asked = 0;

async function refresh() {
  const number = ++asked;
  const body = new URLSearchParams(new FormData(form));
  body.set("do", "preview");
  const page = await parsed(await ask(form.getAttribute("action") || location.href, "template", { method: "POST", body }));
  if (number !== asked) return; // more was typed meanwhile
  const fresh = page.querySelector("[data-preview]");
  if (fresh) form.querySelector("[data-preview]").replaceChildren(...document.importNode(fresh, true).childNodes);
  say(page.querySelector("#body-error"));
}

/** The sentence at the message, without touching what is being typed. */
function say(error) {
  const field = form.querySelector("[name=body]");
  form.querySelector("#body-error")?.remove();
  field.toggleAttribute("aria-invalid", false);
  field.removeAttribute("aria-describedby");
  if (!error) return;
  field.after(document.importNode(error, true));
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", "body-error");
}

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => refresh().catch((error) => console.error(error)), PAUSE);
});
