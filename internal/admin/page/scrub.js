import { attr } from "./dom.js";

// scrub lets a reader walk over marks on a line: with the mouse or a finger
// by pointing, with the keyboard as a slider (arrows, Page Up and Down, Home,
// End, Escape). size() is how many marks there are, at(fraction) which of
// them lies there, and show(index) draws the choice and returns it in words;
// index is -1 for none.
export function scrub(node, { label, size, at, show }) {
  let index = -1;
  const set = (i) => {
    const n = size();
    index = n === 0 ? -1 : Math.max(-1, Math.min(n - 1, i));
    attr(node, "aria-valuemax", Math.max(0, n - 1));
    attr(node, "aria-valuenow", index < 0 ? Math.max(0, n - 1) : index);
    attr(node, "aria-valuetext", show(index));
  };
  node.setAttribute("role", "slider");
  node.setAttribute("tabindex", "0");
  node.setAttribute("aria-label", label);
  node.setAttribute("aria-valuemin", "0");
  const point = (e) => {
    const surface = e.target.closest("[data-scrub]");
    if (!surface) return;
    const box = surface.getBoundingClientRect();
    set(at(Math.max(0, Math.min(1, (e.clientX - box.left) / box.width))));
  };
  node.addEventListener("pointermove", point);
  node.addEventListener("pointerdown", point);
  node.addEventListener("pointerleave", () => document.activeElement !== node && set(-1));
  node.addEventListener("focus", () => index < 0 && node.matches(":focus-visible") && set(size() - 1));
  node.addEventListener("blur", () => set(-1));
  node.addEventListener("keydown", (e) => {
    const last = size() - 1;
    const from = index < 0 ? last : index;
    const to = { ArrowLeft: from - 1, ArrowDown: from - 1, ArrowRight: from + 1, ArrowUp: from + 1, PageDown: from - 10, PageUp: from + 10, Home: 0, End: last }[e.key];
    if (e.key === "Escape" && index >= 0) {
      set(-1);
      e.preventDefault();
    } else if (to !== undefined) {
      set(Math.max(0, to));
      e.preventDefault();
    }
  });
  // refresh is for the caller, when the marks have changed under the reader.
  return { refresh: () => set(index), index: () => index };
}
