// Life inside the Client Portal window: adding people, the preview, templates, Send. Every step is a post of the whole
// form, answered by the window as the server sees it; this takes over the parts that changed.
import { BROKEN, ask, destination, go, parsed, problemIn } from "./dialogs.js";
import { showTimes } from "./time.js";

const NOBODY = "Tick at least one person, or add somebody.";

/** Wire the window inside `host` (a dialog or a page's part). */
export function live(host) {
  new Window(host).start();
}

class Window {
  constructor(host) {
    this.host = host;
    this.adding = Promise.resolve();
    this.sending = false;
  }

  get form() { return this.host.querySelector("[data-window-form]"); }
  part(name) { return this.host.querySelector(`[data-${name}]`); }
  get typed() { return this.host.querySelector("[name=new_email]"); }

  start() {
    this.wake();
    this.host.addEventListener("click", (event) => this.clicked(event));
    this.host.addEventListener("submit", (event) => this.submitted(event));
    this.host.addEventListener("input", (event) => this.changed(event));
    this.host.addEventListener("keydown", (event) => this.pressed(event));
    this.host.addEventListener("paste", (event) => this.pasted(event));
    this.host.addEventListener("focusout", (event) => this.left(event));
    this.host.addEventListener("pointerdown", (event) => { this.pointing = event.target.closest(".window-foot, [data-close]"); });
    const heading = this.host.querySelector("#w-title");
    if (this.host.tagName === "DIALOG") {
      const first = this.part("error-summary") || heading;
      first?.focus({ preventScroll: true });
    }
  }

  /** After the window's markup came in: what needs a script shows, what is for pages without one goes. */
  wake() {
    this.host.querySelector("[data-window]").classList.add("is-live");
    const box = this.part("add");
    box.querySelector("[data-add-open]").setAttribute("aria-expanded", String(box.classList.contains("is-open")));
    showTimes(this.host);
  }

  // ---- talking to the server ----

  async post(url, extra, signal) {
    const data = new URLSearchParams(new FormData(this.form));
    for (const [name, value] of Object.entries(extra)) data.set(name, value);
    return ask(url, "window", { method: "POST", body: data, signal });
  }

  replace(page, ...names) {
    for (const name of names) {
      const fresh = page.querySelector(`[data-${name}]`);
      if (fresh) this.part(name)?.replaceChildren(...document.importNode(fresh, true).childNodes);
    }
  }

  // ---- people ----

  openAdd() {
    const box = this.part("add");
    box.classList.add("is-open");
    box.querySelector("[data-add-open]").setAttribute("aria-expanded", "true");
    this.typed.focus();
  }

  /** Commit what stands in the text box as rows; one at a time, so that rows keep their order. */
  commit(text = this.typed.value) {
    if (!text.trim()) return this.adding;
    this.typed.value = "";
    this.adding = this.adding.then(() => this.add(text)).catch((error) => {
      this.typed.value = this.typed.value ? `${text}, ${this.typed.value}` : text;
      this.newError(BROKEN);
      console.error(error);
    });
    return this.adding;
  }

  async add(text) {
    const tickedBefore = new Set(this.rows().filter((row) => this.box(row).checked).map((row) => row.dataset.key));
    const response = await this.post(this.form.dataset.addUrl, { do: "add", new_email: text });
    const page = await parsed(response);
    const people = page.querySelector("[data-people]");
    if (!people) {
      this.restore(text);
      this.newError(problemIn(page, response));
      return;
    }
    this.merge(people, tickedBefore);
    const kept = page.querySelector("[name=new_email]")?.value || "";
    if (kept) this.restore(kept);
    this.replace(page, "new-error", "preview", "summary");
    this.mark(Boolean(this.part("new-error")?.textContent.trim()));
    this.sendError("");
  }

  restore(text) {
    this.typed.value = this.typed.value ? `${text}, ${this.typed.value}` : text;
  }

  newError(sentence) {
    const place = this.part("new-error");
    place.innerHTML = "";
    const line = document.createElement("div");
    line.className = "field-error";
    line.id = "w-new_email-error";
    line.setAttribute("role", "alert");
    line.textContent = sentence;
    place.append(line);
    this.mark(true);
  }

  mark(wrong) {
    if (wrong) {
      this.typed.setAttribute("aria-invalid", "true");
      this.typed.setAttribute("aria-describedby", "w-new_email-error");
    } else {
      this.typed.removeAttribute("aria-invalid");
      this.typed.removeAttribute("aria-describedby");
    }
  }

  rows() { return [...this.part("people").querySelectorAll("[data-person]")]; }
  box(row) { return row.querySelector(":scope > [type=checkbox]"); }

  /** New rows are appended; rows that are there keep what was done to them meanwhile, but a fold may tick one. */
  merge(people, tickedBefore) {
    const here = new Map(this.rows().map((row) => [row.dataset.key, row]));
    for (const incoming of people.querySelectorAll("[data-person]")) {
      const row = here.get(incoming.dataset.key);
      if (!row) {
        const fresh = document.importNode(incoming, true);
        fresh.classList.add("is-new");
        this.part("people").append(fresh);
      } else if (this.box(incoming).checked && !this.box(row).checked && !tickedBefore.has(row.dataset.key)) {
        this.box(row).checked = true;
      }
    }
    this.number();
  }

  /** Names and ids count from 0 without a gap, whatever was added or taken away. */
  number() {
    this.rows().forEach((row, index) => {
      for (const element of row.querySelectorAll("[name], [id], [for], [aria-describedby]")) {
        for (const attribute of ["name", "id", "for", "aria-describedby"]) {
          const value = element.getAttribute(attribute);
          if (value) element.setAttribute(attribute, value.replaceAll(/people-\d+-/g, `people-${index}-`));
        }
      }
    });
  }

  use(button) {
    const row = button.closest("[data-person]");
    const address = button.dataset.use;
    const twin = this.rows().find((other) => other !== row && other.querySelector("input[name$='-email']")?.value.toLowerCase() === address.toLowerCase());
    if (twin) {
      if (!this.box(twin).disabled) this.box(twin).checked = true;
      row.remove();
      this.number();
      this.box(twin).focus();
    } else {
      row.querySelector("input[name$='-email']").value = address;
      const shown = row.querySelector("[data-email]") || row.querySelector("[data-name]");
      shown.textContent = address;
      row.dataset.key = address;
      row.querySelector("[name$='-key']").value = address;
      button.closest("[data-typo]").remove();
      this.box(row).focus();
    }
    this.preview();
  }

  // ---- what the person does ----

  clicked(event) {
    const on = (selector) => event.target.closest(selector);
    if (on("[data-add-open]")) this.openAdd();
    else if (on("[data-use]")) { event.preventDefault(); this.use(on("[data-use]")); }
    else if (on("[data-remove]")) this.remove(on("[data-remove]").closest("[data-person]"));
    else if (on("[data-body]")) { event.preventDefault(); this.insert(on("[data-body]")); }
    else if (on("[data-templates-open]")) this.templates(!this.part("templates").classList.contains("is-open"));
    else if (!on("[data-templates]")) this.templates(false);
  }

  remove(row) {
    row.remove();
    this.number();
    const opener = this.host.querySelector("[data-add-open]");
    (opener.offsetParent ? opener : this.typed).focus();
    this.preview();
  }

  changed(event) {
    const field = event.target;
    if (field.name === "new_email") {
      if (field.value.includes(",") || field.value.includes(";")) this.commit();
      return;
    }
    if (field.matches("[data-address]")) {
      const box = this.box(field.closest("[data-person]"));
      box.checked = field.value.trim() !== "";
    }
    this.sendError("");
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.preview(), 350);
  }

  pressed(event) {
    if (event.key === "Enter" && event.target.name === "new_email") {
      event.preventDefault();
      this.commit();
    } else if (event.key === "Enter" && event.target.matches("input:not([type=checkbox])")) {
      event.preventDefault();
    } else if (event.key === "Escape" && this.part("templates")?.classList.contains("is-open")) {
      event.preventDefault();
      this.templates(false);
      this.host.querySelector("[data-templates-open]").focus();
    }
  }

  /** Many pasted at once: one line each, or whatever a spreadsheet or an address book puts between them. */
  pasted(event) {
    if (event.target.name !== "new_email") return;
    const text = event.clipboardData?.getData("text") || "";
    if (!/[\n\r\t,;]/.test(text.trim())) return;
    event.preventDefault();
    this.commit([this.typed.value, text.replaceAll(/[\n\r\t;]+/g, ",")].filter((part) => part.trim()).join(","));
  }

  left(event) {
    if (event.target.name !== "new_email") return;
    // Not while Send or Close is being pressed: the row coming in would move the button away under the pointer, and
    // Send commits what was typed by itself.
    if (this.pointing || event.relatedTarget?.closest?.(".window-foot, [data-close]")) return;
    this.commit();
  }

  templates(open) {
    const menu = this.part("templates");
    if (!menu) return;
    menu.classList.toggle("is-open", open);
    const button = this.host.querySelector("[data-templates-open]");
    button.setAttribute("aria-expanded", String(open));
    if (open) menu.querySelector("[data-body]")?.focus();
  }

  insert(button) {
    const text = button.dataset.body;
    this.host.querySelector("[name=template_id]").value = button.dataset.template;
    const message = this.host.querySelector("[name=message]");
    this.host.querySelector("[name=message_on]").checked = true;
    this.templates(false);
    message.focus();
    message.setRangeText(text, message.selectionStart, message.selectionEnd, "end");
    this.preview();
  }

  /** The real mail and who will see the item, as the server says; the newest question wins. */
  async preview() {
    this.asking?.abort();
    this.asking = new AbortController();
    try {
      const response = await this.post(this.form.dataset.previewUrl, { do: "preview" }, this.asking.signal);
      const page = await parsed(response);
      this.replace(page, "preview", "summary");
    } catch (error) {
      if (error.name !== "AbortError") console.error(error);
    }
  }

  // ---- Send ----

  sendError(sentence) {
    const place = this.part("send-error");
    if (place) place.textContent = sentence;
  }

  submitted(event) {
    const wish = event.submitter?.name === "do" ? event.submitter.value : "";
    event.preventDefault();
    if (wish === "add") this.commit();
    else if (wish === "send" || wish === "skip") this.send(event.submitter, wish);
  }

  nobody() {
    return !this.typed.value.trim() && !this.rows().some((row) => this.box(row).checked && !this.box(row).disabled);
  }

  async send(button, wish) {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.waiting);
    this.asking?.abort();
    this.busy(button, true);
    try {
      await this.adding;
      if (wish === "send" && this.nobody()) {
        this.refuse();
        return;
      }
      const response = await this.post(this.form.getAttribute("action"), { do: wish });
      const address = response.ok && destination(response);
      if (address) {
        this.gone = true;
        go(address);
        return;
      }
      this.take(await parsed(response), response);
    } catch (error) {
      this.sendError(BROKEN);
      console.error(error);
    } finally {
      this.pointing = null;
      if (!this.gone) {
        this.sending = false;
        this.busy(button, false);
      }
    }
  }

  refuse() {
    this.sendError(NOBODY);
    const first = this.rows().map((row) => this.box(row)).find((box) => !box.disabled);
    const opener = this.host.querySelector("[data-add-open]");
    (first || (opener.offsetParent ? opener : this.typed)).focus({ focusVisible: true });
  }

  /** The window came back with something to mend: show it as the server sees it. */
  take(page, response) {
    const content = page.querySelector("[data-window]");
    if (!content) {
      this.sendError(problemIn(page, response));
      return;
    }
    this.host.querySelector("[data-window]").replaceWith(document.importNode(content, true));
    this.wake();
    (this.part("error-summary") || this.host.querySelector("#w-title")).focus();
  }

  busy(button, on) {
    for (const one of this.host.querySelectorAll(".window-foot .btn")) one.setAttribute("aria-disabled", String(on));
    if (on) button.setAttribute("data-busy", "");
    else button.removeAttribute("data-busy");
  }
}
