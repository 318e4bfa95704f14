// Lists of rows in forms (questions, signers, contacts): add, move and remove without asking the server. Without this
// script the same buttons post `rows=...` and the server draws the form again.
const list = (element) => element.closest("[data-rows]").querySelector("[data-row-list]");

/** Names, ids and numbers count from 0 without a gap. */
function number(rows) {
  const name = rows.closest("[data-rows]").dataset.rows;
  const pattern = new RegExp(`${name}-(\\d+|__n__)-`, "g");
  [...rows.children].forEach((row, index) => {
    for (const element of row.querySelectorAll("[name], [id], [for], [value], [aria-describedby]")) {
      for (const attribute of ["name", "id", "for", "aria-describedby"]) {
        const value = element.getAttribute(attribute);
        if (value) element.setAttribute(attribute, value.replaceAll(pattern, `${name}-${index}-`));
      }
      if (element.name === "rows") element.value = element.value.replaceAll(pattern, `${name}-${index}-`);
    }
    const shown = row.querySelector("[data-row-number]");
    if (shown) shown.textContent = index + 1;
  });
}

function add(button) {
  const rows = list(button);
  const fresh = document.importNode(button.closest("[data-rows]").querySelector("template").content, true);
  rows.append(fresh);
  number(rows);
  const row = rows.lastElementChild;
  showChoices(row);
  row.querySelector("input:not([type=hidden]), select")?.focus();
  return row;
}

function addPerson(button) {
  const rows = list(button);
  const empty = [...rows.children].find((row) => [...row.querySelectorAll("input")].every((field) => !field.value.trim()));
  const row = empty || add(button);
  row.querySelector("[data-person-name]").value = button.dataset.name;
  row.querySelector("[data-person-email]").value = button.dataset.email;
}

function remove(button) {
  const rows = list(button);
  const row = button.closest("[data-row]");
  const next = row.nextElementSibling || row.previousElementSibling;
  row.remove();
  number(rows);
  const target = next?.querySelector("input:not([type=hidden]), select") || rows.closest("[data-rows]").querySelector("[data-row-add]");
  target?.focus();
}

function move(button, up) {
  const row = button.closest("[data-row]");
  const other = up ? row.previousElementSibling : row.nextElementSibling;
  if (!other) return;
  if (up) other.before(row);
  else other.after(row);
  number(row.parentElement);
  button.focus();
}

/** Choices belong to a single choice only. */
function showChoices(row) {
  const type = row.querySelector("[data-question-type]");
  const choices = row.querySelector("[data-choices]");
  if (type && choices) choices.hidden = type.value !== "single_choice";
}

function showAll() {
  for (const row of document.querySelectorAll("[data-row-list] > [data-row]")) showChoices(row);
}

// In the capturing phase, before a form could be sent by these buttons.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-row-add], [data-row-remove], [data-row-up], [data-row-down], [data-add-person]");
  if (!button) return;
  event.preventDefault();
  if (button.matches("[data-add-person]")) addPerson(button);
  else if (button.matches("[data-row-add]")) add(button);
  else if (button.matches("[data-row-remove]")) remove(button);
  else move(button, button.matches("[data-row-up]"));
}, true);

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-question-type]")) showChoices(event.target.closest("[data-row]"));
  // A chosen name brings its address along.
  if (event.target.matches("[data-person-name]")) {
    const option = [...document.querySelectorAll("#people-names option")].find((one) => one.value === event.target.value);
    const email = event.target.closest("[data-row]").querySelector("[data-person-email]");
    if (option && email && !email.value.trim()) email.value = option.dataset.email;
  }
});

// A form that came back with errors takes the old one's place: its rows are wired by the listeners above, only the
// choices have to be shown or hidden again.
new MutationObserver(showAll).observe(document.querySelector("main"), { childList: true });
showAll();
