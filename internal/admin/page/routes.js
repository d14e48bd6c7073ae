// The routes, those in trouble first. A row opens what its last requests met.

import { attr, el, keyed, show, svg, text } from "./dom.js";
import { get } from "./feed.js";
import * as words from "./words.js";

const FILTER_FROM = 13; // so many routes get a filter
const PAGE = 50;
const COLUMNS = ["Route", "Permits", "Breakers", "Served", "Failed over", "Saved", "Shed", "Failed"];
const HELP = {
  "Failed over": "answered by the second origin after the first failed",
  Saved: "of those failed over: an error without failover",
  Shed: "refused by the bulkhead",
  Failed: "answered with an error of ours, or broken off",
};

export class Routes {
  #model;
  #views = new Map();
  #limit = PAGE;
  #order = [];
  #filter;
  #pick;
  #count;
  #table;
  #more = el("button", { type: "button" });

  constructor({ root, filter, pick, count }, model) {
    this.#model = model;
    this.#filter = filter;
    this.#pick = pick;
    this.#count = count;
    const head = COLUMNS.map((name, i) => el("th", { scope: "col", role: "columnheader", class: i > 2 ? "num" : null, title: HELP[name], text: name }));
    this.#table = el("table", { class: "routes", role: "table", "aria-labelledby": "routes-title" }, el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...head)));
    root.append(this.#table, this.#more);
    this.#more.addEventListener("click", () => {
      this.#limit += PAGE;
      this.update();
    });
    filter.addEventListener("input", () => this.update());
  }

  update() {
    const all = this.#model.status?.routes ?? [];
    show(this.#pick, all.length >= FILTER_FROM);
    const want = all.length >= FILTER_FROM ? this.#filter.value.trim().toLowerCase() : "";
    const found = all.filter((r) => !want || [r.name, r.match, r.group].some((s) => s.toLowerCase().includes(want)));
    const shown = this.#sorted(found).slice(0, this.#limit);
    keyed(this.#table, this.#views, shown, (r) => r.name, (r) => new Row(r.name, this.#model));
    show(this.#more, found.length > shown.length);
    text(this.#more, `Show ${Math.min(PAGE, found.length - shown.length)} more`);
    text(this.#count, want ? `${found.length} of ${words.plural(all.length, "route")}` : all.length > shown.length ? `${shown.length} of ${words.plural(all.length, "route")}` : "");
  }

  // sorted puts trouble first, by rank and then as configured. While the reader
  // is in the table the rows stay where they are; new ones come last.
  #sorted(routes) {
    const rank = new Map(routes.map((r) => [r.name, words.routeTrouble(r, this.#model.recentlyFailed(r.name))]));
    if (this.#table.matches(":hover") || this.#table.contains(document.activeElement)) {
      const place = new Map(this.#order.map((name, i) => [name, i]));
      return [...routes].sort((a, b) => (place.get(a.name) ?? Infinity) - (place.get(b.name) ?? Infinity) || 0);
    }
    const sorted = [...routes].sort((a, b) => rank.get(b.name) - rank.get(a.name));
    this.#order = sorted.map((r) => r.name);
    return sorted;
  }
}

class Row {
  #model;
  #name;
  #button;
  #match = el("span", { class: "match" });
  #group = el("span", { class: "soft" });
  #use = svg("rect", { class: "use", height: 8, y: 0, x: 0, width: 0 });
  #gauge;
  #permits = el("span");
  #queue = el("span", { class: "queue" });
  #breakers = el("td", { role: "cell", class: "breakers", "data-label": "Breakers" });
  #breakerViews = new Map();
  #cells;
  #detail = null;

  constructor(name, model) {
    this.#name = name;
    this.#model = model;
    this.#button = el("button", { type: "button", class: "quiet open", "aria-expanded": "false", text: name, onclick: () => this.#toggle() });
    this.#gauge = svg("svg", { class: "gauge", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { class: "room", width: 100, height: 8 }), this.#use);
    this.#cells = COLUMNS.slice(3).map((label) => el("td", { role: "cell", class: "num", "data-label": label }));
    this.row = el(
      "tr",
      { role: "row" },
      el("th", { scope: "row", role: "rowheader" }, this.#button, this.#match, this.#group),
      el("td", { role: "cell", class: "permits", "data-label": "Permits" }, this.#gauge, this.#permits, this.#queue),
      this.#breakers,
      ...this.#cells,
    );
    // A tbody for each route, so that the row and what it opens stay together.
    this.node = el("tbody", { role: "rowgroup" }, this.row);
  }

  update(r) {
    text(this.#match, r.match);
    text(this.#group, r.group);
    const b = r.bulkhead;
    const full = b.in_use >= b.max_concurrent;
    attr(this.#use, "width", b.max_concurrent > 0 ? Math.min(100, (100 * b.in_use) / b.max_concurrent).toFixed(1) : 0);
    attr(this.#gauge, "data-full", full);
    text(this.#permits, `${words.count(b.in_use)} of ${words.count(b.max_concurrent)}${full ? ", full" : ""}`);
    const waiting = [];
    if (b.queued > 0) waiting.push(`${words.count(b.queued)} of ${words.count(b.max_queue)} queued`);
    if (b.parked > 0) waiting.push(`${words.count(b.parked)} parked`);
    text(this.#queue, waiting.join(", "));
    keyed(this.#breakers, this.#breakerViews, r.breakers, (x) => x.origin, () => new BreakerView());
    const t = r.totals;
    [t.served, t.failed_over, t.saved, t.shed, t.failed].forEach((n, i) => {
      text(this.#cells[i], words.count(n));
      this.#cells[i].classList.toggle("zero", n === 0);
    });
    attr(this.row, "data-trouble", words.routeTrouble(r, this.#model.recentlyFailed(r.name)) > 0);
  }

  #toggle() {
    const open = this.#detail === null;
    attr(this.#button, "aria-expanded", String(open));
    if (!open) {
      this.#detail.node.remove();
      this.#detail = null;
      return;
    }
    this.#detail = new Detail(this.#name, this.#model);
    this.node.append(this.#detail.node);
  }
}

class BreakerView {
  #state = el("b");
  #origin = el("span");
  node = el("span", { class: "breaker" }, this.#origin, " ", this.#state);

  update(b) {
    text(this.#origin, b.origin);
    text(this.#state, b.state);
    attr(this.node, "data-state", b.state);
  }
}

// Detail is the last requests of a route.
class Detail {
  #name;
  #model;
  #list = el("ol", { class: "requests" });
  #only = el("input", { type: "checkbox", checked: true });
  #state = el("p", { class: "soft", role: "status" });

  constructor(name, model) {
    this.#name = name;
    this.#model = model;
    const again = el("button", { type: "button", text: "Ask again", onclick: () => this.load() });
    this.#only.addEventListener("change", () => this.load());
    this.node = el(
      "tr",
      { class: "detail", role: "row" },
      el("td", { role: "cell", colspan: COLUMNS.length }, el("div", { class: "detail-head" }, el("label", {}, this.#only, " only those that failed"), again), this.#state, this.#list),
    );
    this.load();
  }

  async load() {
    const only = this.#only.checked;
    text(this.#state, "Asking…");
    try {
      const requests = await get(`v1/requests?route=${encodeURIComponent(this.#name)}&failed=${only}&limit=20`);
      this.#list.replaceChildren(...requests.map((r) => requestItem(r, this.#model.now())));
      text(this.#state, requests.length ? `The last ${requests.length}${only ? " that failed" : ""}, newest first` : only ? `No request of ${this.#name} that failed is remembered` : `No request of ${this.#name} is remembered`);
    } catch (refused) {
      text(this.#state, refused.message);
    }
  }
}

function requestItem(r, now) {
  const facts = [r.result, words.millis(r.total_ms)];
  if (r.queued_ms > 0) facts.push(`queued ${words.millis(r.queued_ms)}`);
  if (r.parked_ms > 0) facts.push(`parked ${words.millis(r.parked_ms)}`);
  if (!r.covered) facts.push("uncovered");
  if (r.why_not) facts.push(`no failover: ${r.why_not}`);
  if (r.error) facts.push(r.error);
  return el(
    "li",
    {},
    el("p", { class: "request" }, el("time", { datetime: r.time, text: words.time(Date.parse(r.time), now, true) }), " ", el("b", { text: r.status || "no answer" }), " ", el("code", { text: `${r.method} ${r.target}` })),
    el("p", { class: "soft", text: facts.join(" · ") + (r.id ? ` · ${r.id}` : "") }),
    el("ul", {}, ...(r.attempts ?? []).map(attemptItem)),
  );
}

function attemptItem(a) {
  const times = [`from ${words.millis(a.start_ms)}`];
  if (a.connect_ms) times.push(`connected in ${words.millis(a.connect_ms)}`);
  if (a.first_byte_ms) times.push(`first byte after ${words.millis(a.first_byte_ms)}`);
  if (a.reused) times.push("on a kept connection");
  if (a.conn_retry) times.push("on a fresh connection after a dead one");
  const bad = a.class !== "ok";
  return el(
    "li",
    { class: bad ? "attempt failed" : "attempt" },
    el("b", { text: a.origin }),
    ` (${a.role}${a.address ? ", " + a.address : ""}) `,
    el("b", { class: "class", text: (bad ? "✕ " : "") + a.class }),
    `${a.status && bad ? ` ${a.status}` : ""}${a.why ? `: ${a.why}` : ""} `,
    el("span", { class: "soft", text: times.join(", ") }),
  );
}
