// The events, newest first, with cause and evidence.

import { attr, el, icon, keyed, show, text } from "./dom.js";
import * as words from "./words.js";

const PAGE = 40;

const icons = {
  flip: "flip",
  verdict: "healthy",
  breaker: "breaker",
  pin: "pin",
  unpin: "pin",
  failback: "hand",
  drain: "drain",
  ready: "drain",
  reload: "reload",
  reload_failed: "reload",
};

export class Timeline {
  #model;
  #list;
  #more;
  #family = words.families[0];
  #limit = PAGE;
  #views = new Map();

  constructor({ list, more, kinds }, model) {
    this.#model = model;
    this.#list = list;
    this.#more = more;
    for (const family of words.families) {
      const input = el("input", { type: "radio", name: "family", value: family.key, checked: family.key === "all" });
      input.addEventListener("change", () => {
        this.#family = family;
        this.#limit = PAGE;
        this.update();
      });
      kinds.append(el("label", { class: "pill" }, input, el("span", { text: family.label })));
    }
    more.addEventListener("click", () => {
      this.#limit += PAGE;
      this.update();
    });
  }

  update() {
    const { kinds } = this.#family;
    const found = this.#model.events.filter((e) => !kinds || kinds.includes(e.kind));
    const shown = found.slice(0, this.#limit);
    keyed(this.#list, this.#views, shown, (e) => e.seq, (e) => new Entry(e, this.#model.now()));
    show(this.#more, found.length > shown.length);
    attr(this.#list, "data-empty", found.length === 0);
  }

  // age brings the relative times up to date.
  age(now) {
    for (const view of this.#views.values()) view.age(now);
  }
}

class Entry {
  #at;
  #ago = el("span", { class: "ago" });

  constructor(e, now) {
    this.#at = Date.parse(e.time);
    const name = e.kind === "verdict" ? (["healthy", "down"].includes(e.to) ? e.to : "unknown") : (icons[e.kind] ?? "dot");
    const facts = [];
    if (e.cause) facts.push(e.cause);
    if (e.generation) facts.push(`generation ${e.generation}`);
    if (e.by) facts.push(`by ${e.by}`);
    this.node = el(
      "li",
      { class: "event", "data-level": e.level, "data-kind": e.kind },
      el("span", { class: "when" }, el("time", { datetime: e.time, title: e.time, text: words.time(this.#at, now, true) }), this.#ago),
      icon(name),
      el("div", { class: "what" }, el("p", {}, el("span", { class: "kind", text: e.kind }), " ", el("span", { class: "event-text", text: e.text })), facts.length ? el("p", { class: "soft", text: facts.join(" · ") }) : null, evidence(e, now)),
    );
    this.age(now);
  }

  // An event does not change.
  update() {}

  age(now) {
    text(this.#ago, `${words.duration((now - this.#at) / 1000)} ago`);
  }
}

function evidence(e, now) {
  if (!e.evidence?.length) return null;
  return el("details", {}, el("summary", { text: `Evidence: ${words.plural(e.evidence.length, "probe")}` }), el("ul", {}, ...e.evidence.map((p) => el("li", { class: p.ok ? null : "failed", text: words.probe(p, now) }))));
}
