// Native dialogs. A page that asks first, or the Client Portal window, is a page of its own without a script; with one,
// its [data-dialog] or [data-window] part is fetched and shown over the page one is on.
import { showTimes } from "./time.js";

/** The document in an answer of the server, whole page or fragment. */
export async function parsed(response) {
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

/** Fetch as the scripts do it: the server may answer with the fragment alone, and with an address to go to. */
export function ask(url, fragment, options = {}) {
  return fetch(url, {
    credentials: "same-origin",
    ...options,
    headers: { "X-Fragment": fragment, "X-Requested-With": "fetch", Accept: "text/html", ...options.headers },
  });
}

/** The address an answer sends us to, or null. Fetch follows plain redirects by itself. */
export function destination(response) {
  const named = response.headers.get("X-Location");
  const address = named || (response.redirected ? response.url : null);
  if (!address) return null;
  const url = new URL(address, location.href);
  return url.origin === location.origin ? url.href : null;
}

/** Go there, also where only what follows the # differs. */
export function go(address) {
  const same = address.split("#")[0] === location.href.split("#")[0];
  location.assign(address);
  if (same) location.reload();
}

/** Show `content` (an element) in a modal dialog; gives the dialog. Escape and [data-close] close it. */
export function showDialog(content, { className = "window", label = null } = {}) {
  const dialog = document.createElement("dialog");
  dialog.className = className;
  if (label) dialog.setAttribute("aria-labelledby", label);
  dialog.append(document.importNode(content, true));
  dialog.addEventListener("click", (event) => {
    const closer = event.target.closest("[data-close]");
    if (!closer) return;
    event.preventDefault();
    dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  showTimes(dialog);
  return dialog;
}

/** A sentence in the page's notes, read out by screen readers. */
export function say(sentence, tone = "bad") {
  const notes = document.querySelector("[data-notes]");
  if (!notes) return;
  const note = document.createElement("div");
  note.className = `note ${tone}`;
  const words = document.createElement("p");
  words.textContent = sentence;
  note.append(words);
  notes.replaceChildren(note);
  note.scrollIntoView({ block: "nearest" });
}

/** What an error page of ours says, as one sentence. */
export function problemIn(page, response) {
  const said = page.querySelector("[data-problem] [data-sentence]");
  if (said) return said.textContent.trim();
  return response.status >= 500
    ? "Something went wrong on our side. Nothing was sent. Try again in a minute."
    : "That didn't work. Load the page again and try once more.";
}

export const BROKEN = "The connection broke before the answer came. Try again: nothing is sent twice.";

async function openQuestion(link) {
  const response = await ask(link.href, "dialog");
  const page = await parsed(response);
  const content = page.querySelector("[data-dialog]");
  if (!response.ok || !content) {
    location.assign(link.href);
    return;
  }
  content.classList.remove("sheet", "narrow-form");
  showDialog(content, { className: "window small" }).setAttribute("aria-label", content.getAttribute("aria-label") || "");
}

/** Let links with data-opens-dialog open their question here. */
export function wireQuestions() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-opens-dialog]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    openQuestion(link).catch(() => location.assign(link.href));
  });
}
