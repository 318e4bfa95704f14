// A survey saves itself: every change is sent a moment after it was made, one request at a time, and a quiet "Saved"
// says so. What couldn't be sent stays in the form and is tried again; the button Save does the same without this.
const PAUSE = 900; // milliseconds after the last key
const RETRY = 5000;

const form = document.querySelector("form[data-answers]");
if (form) wire(form);

function wire(form) {
  const said = form.querySelector("[data-saved]");
  const answered = form.querySelector("[data-answered]");
  let timer = 0;
  let busy = false;
  let again = false;
  let dirty = false;

  function later(wait) {
    window.clearTimeout(timer);
    timer = window.setTimeout(save, wait);
  }

  function post(keepalive = false) {
    const sent = new FormData(form);
    return fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(sent),
      credentials: "same-origin",
      keepalive,
      headers: { Accept: "application/json", "X-CSRFToken": sent.get("csrf_token") || "" },
    });
  }

  async function save() {
    window.clearTimeout(timer);
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    again = false;
    try {
      const response = await post();
      if (response.status === 409) {
        said.textContent = (await response.json()).sentence;
        dirty = false;
        return;
      }
      if (!response.ok || response.redirected) throw new Error(String(response.status));
      kept(await response.json());
    } catch {
      said.textContent = said.dataset.trouble;
      later(RETRY);
    } finally {
      busy = false;
      if (again) save();
    }
  }

  function kept(answer) {
    // What the server holds now is what the next change is compared with.
    for (const [field, value] of Object.entries(answer.saved)) {
      const was = form.elements.namedItem(`was-${field.slice(2)}`);
      if (was && !(field in answer.errors)) was.value = value;
    }
    answered.textContent = answer.answered;
    showErrors(answer.errors);
    dirty = again || Object.keys(answer.errors).length > 0;
    said.textContent = Object.keys(answer.errors).length ? said.dataset.wrong : said.dataset.kept;
  }

  function showErrors(errors) {
    for (const old of form.querySelectorAll("[data-live-error]")) old.remove();
    for (const field of form.querySelectorAll("[aria-invalid]")) {
      if (field.name in errors) continue;
      field.removeAttribute("aria-invalid");
      document.getElementById(`${field.id}-error`)?.remove();
    }
    for (const [name, sentences] of Object.entries(errors)) {
      const field = document.getElementById(name);
      if (!field || document.getElementById(`${name}-error`)) continue;
      const words = document.createElement("div");
      words.className = "field-error";
      words.id = `${name}-error`;
      words.dataset.liveError = "";
      words.textContent = sentences.join(" ");
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", words.id);
      field.closest(".field").append(words);
    }
  }

  form.addEventListener("input", () => {
    dirty = true;
    said.textContent = "";
    later(PAUSE);
  });
  form.addEventListener("change", () => {
    dirty = true;
    later(0);
  });
  form.addEventListener("submit", () => {
    dirty = false;
    window.clearTimeout(timer);
  });
  window.addEventListener("online", () => dirty && save());
  // Leaving the page in the middle of a word: the last change still goes out.
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "hidden" || !dirty) return;
    window.clearTimeout(timer);
    post(true).catch(() => later(RETRY));
  });
}
