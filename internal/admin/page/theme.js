// A classic script, not a module: it runs before the first paint, so that the
// page does not flash in the other colours.
(function () {
  var stored = null;
  try {
    stored = localStorage.getItem("theme");
  } catch (e) {
    // Storage may be forbidden; then the system decides.
  }
  if (stored === "light" || stored === "dark") {
    document.documentElement.dataset.theme = stored;
  }
})();
