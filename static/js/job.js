// A running job's page brings itself up to date until the work is done. Without this script one reloads the page.
import { parsed } from "./dialogs.js";
import { showTimes } from "./time.js";

const EVERY = 1500;

async function look() {
  const job = document.querySelector("[data-job=running]");
  if (!job) return;
  const response = await fetch(location.href, { credentials: "same-origin", headers: { Accept: "text/html" } });
  if (response.ok && !response.redirected) {
    const page = await parsed(response);
    const fresh = page.querySelector("[data-job]");
    if (fresh?.dataset.job === "done") {
      location.reload();
      return;
    }
    // Only what changed, so that focus and reading position stay.
    for (const what of ["progress", "[aria-label=Progress] small"]) {
      const [before, after] = [job.querySelector(what), fresh?.querySelector(what)];
      if (before && after && before.outerHTML !== after.outerHTML) before.replaceWith(document.importNode(after, true));
    }
    showTimes(job);
  }
  setTimeout(() => look().catch(() => setTimeout(look, EVERY * 4)), EVERY);
}

setTimeout(() => look().catch(() => {}), EVERY);
