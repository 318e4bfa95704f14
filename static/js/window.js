// The Client Portal window in a dialog. Opens from forms and links with data-opens-window: the same request is made,
// and what comes back decides: the window (shown over the page), the form with its errors (put in place), or an
// address to go to. Without this script all of it works as pages.
import { BROKEN, ask, destination, go, parsed, problemIn, say, showDialog } from "./dialogs.js";
import { live } from "./window_form.js";

function body(form, submitter) {
  const data = new FormData(form, submitter);
  return form.enctype === "multipart/form-data" ? data : new URLSearchParams(data);
}

async function request(opener, submitter) {
  if (opener.tagName === "A") return ask(opener.href, "window");
  const address = submitter?.getAttribute("formaction") || opener.getAttribute("action") || location.href;
  if (opener.method !== "post") {
    const url = new URL(address, location.href);
    url.search = new URLSearchParams(new FormData(opener, submitter)).toString();
    return ask(url.href, "window");
  }
  return ask(address, "window", { method: "POST", body: body(opener, submitter) });
}

/** The form in `page` that is the one that was sent: the same id, or the same action, or the only one. */
function formLike(sentForm, page) {
  const forms = [...page.querySelectorAll("form[data-opens-window]")];
  return forms.find((form) => form.id && form.id === sentForm.id)
    || forms.find((form) => form.getAttribute("action") === sentForm.getAttribute("action"))
    || forms[0];
}

/** Put the form with its errors in place of the one that was sent. Chosen files can't be written into a page by a
    server: they are carried over, so that nobody chooses them twice. */
function replaceForm(oldForm, newForm) {
  const fresh = document.importNode(newForm, true);
  for (const chosen of oldForm.querySelectorAll("input[type=file]")) {
    const place = chosen.name && fresh.querySelector(`input[type=file][name="${CSS.escape(chosen.name)}"]`);
    if (place && chosen.files.length) place.files = chosen.files;
  }
  oldForm.replaceWith(fresh);
  const summary = fresh.querySelector("[data-error-summary]");
  (summary || fresh.querySelector("[aria-invalid=true]"))?.focus();
}

async function open(opener, submitter) {
  const response = await request(opener, submitter);
  const address = response.ok && destination(response);
  const page = await parsed(response);
  const content = page.querySelector("[data-window]");
  if (content && response.ok) {
    const dialog = showDialog(content, { label: "w-title" });
    live(dialog);
    return;
  }
  if (address) {
    go(address);
    return;
  }
  const form = opener.tagName === "FORM" && formLike(opener, page);
  if (form) replaceForm(opener, form);
  else say(problemIn(page, response));
}

async function guarded(opener, submitter) {
  if (opener.dataset.onItsWay) return;
  opener.dataset.onItsWay = "1";
  const pressed = submitter || opener;
  pressed.setAttribute("data-busy", "");
  try {
    await open(opener, submitter);
  } catch (error) {
    say(BROKEN);
    console.error(error);
  } finally {
    delete opener.dataset.onItsWay;
    pressed.removeAttribute("data-busy");
  }
}

// In the capturing phase, so that it comes before page.js's guard against sending twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-opens-window]") || event.submitter?.hasAttribute("data-plain")) return;
  event.preventDefault();
  guarded(form, event.submitter);
}, true);

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-opens-window]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  guarded(link);
});

// The window as a page of its own has the same comforts.
const own = document.querySelector(".window-page");
if (own) live(own);
