// What every page gets: times in the reader's zone, questions as dialogs, menus that close, focus on the errors, and
// forms that are sent once.
import { wireQuestions } from "./dialogs.js";
import { showTimes } from "./time.js";

showTimes();
wireQuestions();

// The pop-up after Send is an open region without a script; here it becomes a real dialog.
const sent = document.querySelector("dialog[data-invite-sent]");
if (sent) {
  sent.close();
  sent.showModal();
}

// Errors: the summary takes the focus, its links put the cursor into the field.
const summary = document.querySelector("[data-error-summary]");
if (summary && !sent) summary.focus();
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-error-summary] a[href^='#']");
  const field = link && document.getElementById(link.hash.slice(1));
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.scrollIntoView({ block: "center" });
});

// Menus close when one looks elsewhere, and by Escape with the focus back on their button.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details[data-menu-details][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu-details][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// A second click on a button while the first is on its way sends nothing twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method === "dialog" || form.hasAttribute("data-again")) return;
  if (form.dataset.onItsWay) {
    event.preventDefault();
    return;
  }
  form.dataset.onItsWay = "1";
  event.submitter?.setAttribute("data-busy", "");
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-on-its-way]")) {
    delete form.dataset.onItsWay;
    form.querySelector("[data-busy]")?.removeAttribute("data-busy");
  }
});
