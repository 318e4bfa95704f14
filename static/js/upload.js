// Uploaded files are kept before the Client Portal window opens. Closing the window leaves them invisible on the
// record, so that is where one goes then: sending this form again would upload them twice.
const form = document.querySelector("form[data-after-window]");
document.addEventListener("close", (event) => {
  if (form && event.target.querySelector?.("[data-window]")) location.assign(form.dataset.afterWindow);
}, true);
