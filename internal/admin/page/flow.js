// The drawing of a group: clients, the two origins and the traffic between
// them. A ribbon is as thick as its requests a second, in proportion to the
// group's peak of the last ten minutes. The pointer stands at its target.

import { attr, el, icon, setIcon, show, svg, text } from "./dom.js";
import * as words from "./words.js";

const FULL = 36; // the thickness of the peak, in hundredths of the height
const THIN = 1.4; // of anything above nothing

// thickness of both ribbons.
export function thickness(primary, secondary, peak) {
  const of = (n) => (n < 0.05 ? 0 : Math.max(THIN, (FULL * n) / Math.max(peak, primary + secondary)));
  return [of(primary), of(secondary)];
}

// ribbon is a band of thickness w from (0, y0) to (100, y1), its upper edges.
export function ribbon(y0, y1, w) {
  const f = (n) => n.toFixed(2);
  return `M0 ${f(y0)}C45 ${f(y0)} 55 ${f(y1)} 100 ${f(y1)}V${f(y1 + w)}C55 ${f(y1 + w)} 45 ${f(y0 + w)} 0 ${f(y0 + w)}Z`;
}

function centre(y0, y1) {
  return `M0 ${y0.toFixed(2)}C45 ${y0.toFixed(2)} 55 ${y1.toFixed(2)} 100 ${y1.toFixed(2)}`;
}

class Lane {
  idle = svg("path", { class: "idle" });
  band = svg("path", { class: "band" });
  drops = svg("path", { class: "drops" });

  constructor(role) {
    this.node = svg("g", { class: role }, this.idle, this.band, this.drops);
  }

  draw(start, end, w) {
    attr(this.idle, "d", w === 0 ? centre(start, end) : "");
    attr(this.band, "d", ribbon(start, end - w / 2, w));
    attr(this.drops, "d", w === 0 ? "" : centre(start + w / 2, end));
  }
}

const verdictWords = { healthy: "healthy", down: "down", unknown: "no verdict yet", unchecked: "not checked" };

class Place {
  #name = el("strong", { class: "origin-name" });
  #mark = icon("unknown");
  #verdict = el("span");
  #rate = el("span", { class: "number" });
  #connections = el("span", { class: "soft" });
  #drained = el("span", { class: "tag", text: "drained" });

  constructor(role) {
    this.node = el(
      "div",
      { class: `place ${role}` },
      el("div", { class: "place-head" }, this.#name, el("span", { class: "soft", text: role })),
      el("div", { class: "place-rate" }, this.#rate, el("span", { class: "unit", text: "requests/s" })),
      el("div", { class: "verdict" }, el("span", { class: "verdict-words" }, this.#mark, this.#verdict), this.#drained),
      this.#connections,
    );
    this.verdictNode = this.node.children[2];
  }

  update(name, origin, perSecond, now) {
    text(this.#name, name);
    text(this.#rate, words.rate(perSecond));
    const verdict = origin?.verdict ?? "unknown";
    attr(this.verdictNode, "data-verdict", verdict);
    setIcon(this.#mark, verdict);
    const since = origin?.since && verdict !== "unchecked" ? ` for ${words.rough((now - Date.parse(origin.since)) / 1000)}` : "";
    text(this.#verdict, verdictWords[verdict] + since);
    show(this.#drained, origin?.drained ?? false);
    const limit = origin?.limit ? ` of ${words.count(origin.limit)}` : "";
    const n = origin?.connections ?? 0;
    text(this.#connections, limit ? `${words.count(n)}${limit} connections` : words.plural(n, "connection"));
  }
}

export class Flow {
  #primary = new Place("primary");
  #secondary = new Place("secondary");
  #first = new Lane("primary");
  #second = new Lane("secondary");
  #total = el("span", { class: "number" });
  #errors = el("span", { class: "errors" });
  #pointer = el("div", { class: "pointer" }, el("span", { class: "pointer-text", text: "pointer" }));

  constructor() {
    this.node = el(
      "div",
      { class: "flow" },
      el("div", { class: "clients" }, el("strong", { text: "Clients" }), this.#total, el("span", { class: "unit", text: "requests/s" }), this.#errors),
      svg("svg", { class: "lanes", viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" }, this.#first.node, this.#second.node),
      this.#primary.node,
      this.#secondary.node,
      this.#pointer,
    );
  }

  update(group, origins, sample, peak, now) {
    const alone = !group.secondary;
    attr(this.node, "data-at", group.role);
    attr(this.node, "data-alone", alone);
    const p = sample?.primary_per_s ?? 0;
    const s = alone ? 0 : (sample?.secondary_per_s ?? 0);
    text(this.#total, words.rate(sample?.requests_per_s ?? 0));
    const errors = sample?.errors_per_s ?? 0;
    const bad = errors >= 0.05;
    text(this.#errors, bad ? `✕ ${words.rate(errors)} errors/s` : "no errors");
    this.#errors.classList.toggle("bad", bad);
    this.#primary.update(group.primary, origins.get(group.primary), p, now);
    show(this.#secondary.node, !alone);
    if (!alone) this.#secondary.update(group.secondary, origins.get(group.secondary), s, now);
    const [wp, ws] = thickness(p, s, peak);
    const top = 50 - (wp + ws) / 2;
    this.#first.draw(top, alone ? 50 : 25, wp);
    if (!alone) this.#second.draw(top + wp, 75, ws);
    text(this.#pointer.firstChild, group.role === "none" ? "pointer: no target" : group.pin ? "pinned" : "pointer");
  }
}
