// Runs before the first paint: Bootstrap's pieces follow the system's light or dark, and the page knows that scripts
// work (`html.js`). The tokens of portal.css need neither. Also opens the menu of the top bar on a phone.
(function () {
  "use strict";
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => { root.dataset.bsTheme = dark.matches ? "dark" : "light"; };
  follow();
  dark.addEventListener("change", follow);
  root.classList.add("js");
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-toggles]");
    if (!button) return;
    const open = document.getElementById(button.dataset.toggles).classList.toggle("is-open");
    button.setAttribute("aria-expanded", String(open));
  });
})();
