// A strip of an origin's last probes: a mark each, oldest on the left. What
// answered stands up from the line, what failed hangs down from it, and what
// counted for nothing is a dot on it; the length is the time it took, on a
// logarithmic scale.

import { attr, el, svg, text } from "./dom.js";
import { scrub } from "./scrub.js";
import * as words from "./words.js";

const SLOTS = 60;
const LINE = 30; // the line's height in the drawing
const UP = 26;
const DOWN = 15;

export function length(ms, most) {
  return Math.log10(1 + ms) / Math.log10(1 + Math.max(most, 20));
}

// paths draws probes as three paths: those up, those down and the dots.
export function paths(probes) {
  const most = probes.reduce((n, p) => Math.max(n, p.took_ms), 0);
  const d = { up: "", down: "", dots: "" };
  probes.forEach((p, i) => {
    const x = SLOTS - probes.length + i;
    const share = Math.min(1, length(p.took_ms, most));
    if (p.dropped) d.dots += `M${x + 0.25} ${LINE - 2}h.5v3h-.5z`;
    else if (p.ok) {
      const h = 4 + (UP - 4) * share;
      d.up += `M${x + 0.18} ${LINE - 1}v${(-h).toFixed(1)}h.64v${h.toFixed(1)}z`;
    } else {
      const h = 8 + (DOWN - 8) * share;
      d.down += `M${x + 0.08} ${LINE + 1}v${h.toFixed(1)}h.84v${(-h).toFixed(1)}z`;
    }
  });
  return d;
}

export function strip(name, now) {
  const up = svg("path", { class: "up" });
  const down = svg("path", { class: "down" });
  const dots = svg("path", { class: "dots" });
  const chosen = svg("rect", { class: "chosen", width: 1, height: 48, y: 0, x: -2 });
  const drawing = svg(
    "svg",
    { viewBox: "0 0 60 48", preserveAspectRatio: "none", "aria-hidden": "true", "data-scrub": true },
    chosen,
    svg("path", { class: "line", d: `M0 ${LINE}h60` }),
    up,
    down,
    dots,
  );
  const said = el("p", { class: "said" });
  const surface = el("div", { class: "strip" }, drawing);
  const node = el("div", { class: "strip-box" }, surface, said);
  let probes = [];
  let drawn = "";
  const walk = scrub(surface, {
    label: `Last probes of ${name}`,
    size: () => probes.length,
    at: (f) => Math.floor(f * SLOTS) - (SLOTS - probes.length),
    show(i) {
      attr(chosen, "x", i < 0 ? -2 : SLOTS - probes.length + i);
      const p = probes[i < 0 ? probes.length - 1 : i];
      const s = p ? words.probe(p, now()) : "no probe yet";
      text(said, s);
      said.classList.toggle("failed", p !== undefined && !p.ok && !p.dropped);
      return s;
    },
  });
  return {
    node,
    update(origin) {
      const stamp = `${origin.probes.length} ${origin.probes[0]?.at} ${origin.probes.at(-1)?.at}`;
      if (stamp === drawn) return;
      drawn = stamp;
      probes = origin.probes.slice(-SLOTS);
      const d = paths(probes);
      attr(up, "d", d.up);
      attr(down, "d", d.down);
      attr(dots, "d", d.dots);
      walk.refresh();
    },
  };
}
