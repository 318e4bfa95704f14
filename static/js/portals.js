// Choosing rows of Manage Client Portals: the box above selects the page, the bar says how many are selected.
const form = document.querySelector("form[data-picks]");
const boxes = form ? [...form.querySelectorAll("input[name=pick]")] : [];
const page = form?.querySelector("[data-pick-page]");
const all = form?.querySelector("input[name=all]");
const picked = form?.querySelector("[data-picked]");

function tell() {
  const number = boxes.filter((box) => box.checked).length;
  page.checked = number > 0 && number === boxes.length;
  page.indeterminate = number > 0 && number < boxes.length;
  for (const box of [page, ...boxes]) box.disabled = all.checked;
  const said = number === 0 ? "Nobody selected." : `${number} on this page selected.`;
  const words = all.checked ? "All that match are selected." : said;
  if (picked.textContent !== words) picked.textContent = words;
}

if (all && page) {
  form.addEventListener("change", (event) => {
    if (event.target === page) for (const box of boxes) box.checked = page.checked;
    if (event.target === all) {
      // All that match are these rows, too. Their boxes are off then, so what is posted stays `all`.
      for (const box of boxes) {
        if (all.checked) box.dataset.was = box.checked;
        box.checked = all.checked || box.dataset.was === "true";
      }
    }
    tell();
  });
  window.addEventListener("pageshow", tell); // the browser brings ticked boxes back
  tell();
}
