// The typed name, shown as it will stand on the document.
for (const form of document.querySelectorAll("form[data-signature]")) {
  const typed = form.querySelector("[data-typed]");
  const shown = form.querySelector("[data-shown]");
  const show = () => { shown.textContent = typed.value.trim(); };
  typed.addEventListener("input", show);
  show();
}
