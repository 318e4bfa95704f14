// Moments in the reader's own zone. The server writes a text of its own into every <time data-when>, which stays
// where no script runs. Days (without a time) belong to no zone and are left as they are.

const language = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang || "en-GB";
const hours = language === "en-US" ? {} : { hourCycle: "h23" };
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const city = zone.split("/").pop().replaceAll("_", " ");

function text(moment, style) {
  const sameYear = moment.getFullYear() === new Date().getFullYear();
  const day = { day: "numeric", month: "short", ...(style === "date" && sameYear ? {} : { year: "numeric" }) };
  const date = new Intl.DateTimeFormat(language, day).format(moment).replace("Sept", "Sep");
  if (style === "date") return date;
  const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", ...hours }).format(moment);
  return style === "deadline" ? `${date}, ${clock} (${city})` : `${date}, ${clock}`;
}

/** Rewrite every moment under `root` for the reader. */
export function showTimes(root = document) {
  for (const element of root.querySelectorAll("time[data-when]")) {
    if (!element.dateTime.includes("T")) continue;
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    element.textContent = text(moment, element.dataset.when);
    element.title = text(moment, "deadline");
  }
}
