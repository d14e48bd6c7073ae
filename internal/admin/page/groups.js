// The groups, a card each. With many groups a calm one is a line that opens on
// demand, and those in trouble come first.

import { attr, el, icon, keyed, setIcon, show, text } from "./dom.js";
import { Flow } from "./flow.js";
import { strip } from "./strip.js";
import * as words from "./words.js";

const MANY = 6;

export class Groups {
  #root;
  #model;
  #actions;
  #views = new Map();

  constructor(root, model, actions) {
    this.#root = root;
    this.#model = model;
    this.#actions = actions;
  }

  update() {
    const { status } = this.#model;
    const now = this.#model.now();
    const origins = new Map(status.origins.map((o) => [o.name, o]));
    const many = status.groups.length > MANY;
    const items = status.groups.map((group) => ({ group, origins, now, many, trouble: words.groupTrouble(group, origins, now) }));
    const rank = (i) => (i.trouble ? words.levels.indexOf(i.trouble.level) : 0);
    if (many) items.sort((a, b) => rank(b) - rank(a));
    attr(this.#root, "data-many", many);
    keyed(this.#root, this.#views, items, (i) => i.group.name, (i) => new Card(i.group.name, this.#model, this.#actions));
  }
}

class Card {
  #model;
  #opened = null; // what the reader has chosen, null: nothing yet
  #mark = icon("ok");
  #where = el("span", { class: "where" });
  #line = el("span", { class: "line-rate" });
  #facts = el("p", { class: "group-facts" });
  #pin = el("p", { class: "pin-note" }, icon("pin"), el("span"));
  #drill = el("p", { class: "pin-note drill-note" }, icon("note"), el("span"));
  #back = el("p", { class: "back-note" });
  #more;
  #body;
  #pinButton;
  #unpinButton;
  #failbackButton;
  #stopButton;
  #flow = new Flow();
  #origins = el("div", { class: "origins" });
  #originViews = new Map();

  constructor(name, model, actions) {
    this.#model = model;
    const id = "group-" + name;
    this.#pinButton = el("button", { type: "button", text: "Pin…", "aria-label": `Pin ${name}…`, onclick: () => actions.pin(name) });
    this.#unpinButton = el("button", { type: "button", text: "Unpin…", "aria-label": `Unpin ${name}…`, onclick: () => actions.unpin(name) });
    this.#failbackButton = el("button", { type: "button", text: "Fail back…", "aria-label": `Fail ${name} back…`, onclick: () => actions.failback(name) });
    this.#stopButton = el("button", { type: "button", text: "Stop drill…", "aria-label": `Stop the drill of ${name}…`, onclick: () => actions.stopDrill(name) });
    this.#more = el("button", { type: "button", class: "quiet more", "aria-controls": id, onclick: () => this.#toggle() });
    this.#body = el("div", { id }, this.#facts, this.#back, this.#pin, this.#drill, el("div", { class: "group-body" }, this.#flow.node, this.#origins));
    this.node = el(
      "article",
      { class: "group", "aria-label": `Group ${name}` },
      el(
        "div",
        { class: "group-head" },
        el("h3", {}, this.#mark, el("span", { text: name })),
        this.#where,
        this.#line,
        el("div", { class: "buttons" }, this.#stopButton, this.#failbackButton, this.#unpinButton, this.#pinButton, this.#more),
      ),
      this.#body,
    );
    this.origin = (o) => new OriginRow(o.name, model, actions);
  }

  update(item) {
    this.item = item;
    const { group, origins, now, many, trouble } = item;
    const level = trouble?.level ?? "ok";
    attr(this.node, "data-level", level);
    setIcon(this.#mark, level);
    const since = Date.parse(group.since);
    show(this.#failbackButton, group.role === "secondary" && !group.pin && !group.follow);
    show(this.#unpinButton, Boolean(group.pin));
    show(this.#pinButton, Boolean(group.secondary));
    show(this.#stopButton, Boolean(group.drill?.running));
    const open = !many || (this.#opened ?? level !== "ok");
    show(this.#more, many);
    attr(this.#more, "aria-expanded", String(open));
    text(this.#more, open ? "Less" : "More");
    show(this.#body, open);
    attr(this.node, "data-open", open);
    text(this.#where, !group.target ? "on no origin" : open ? `on ${group.target} since ${words.time(since, now, true)}` : `on ${group.target}`);
    const sample = this.#model.latest(group.name);
    show(this.#line, !open);
    if (!open) {
      text(this.#line, `${words.rate(sample?.requests_per_s ?? 0)}/s`);
      return;
    }
    this.#flow.update(group, origins, sample, this.#model.peak(group.name), now);
    this.#say(group, since, now);
    const rows = [group.primary, group.secondary].filter((name) => origins.has(name)).map((name) => origins.get(name));
    keyed(this.#origins, this.#originViews, rows, (o) => o.name, this.origin);
  }

  #say(group, since, now) {
    const facts = [`${words.reason(group)} (${group.reason})`, `for ${words.duration((now - since) / 1000)}`, `generation ${group.generation}`];
    if (group.follow) facts.push(`follows ${group.follow}`);
    text(this.#facts, facts.join(" · "));
    attr(this.#facts, "title", group.since);
    show(this.#pin, Boolean(group.pin));
    if (group.pin) text(this.#pin.lastChild, pinWords(group.pin, now));
    show(this.#drill, Boolean(group.drill?.running));
    if (group.drill?.running) text(this.#drill.lastChild, drillWords(group, now));
    const back = backWords(group, now);
    show(this.#back, back !== "");
    text(this.#back, back);
  }

  #toggle() {
    this.#opened = this.#more.getAttribute("aria-expanded") !== "true";
    this.update(this.item);
  }
}

export function pinWords(pin, now) {
  const until = pin.until ? `until ${words.time(Date.parse(pin.until), now)} (${words.countdown((Date.parse(pin.until) - now) / 1000)} left)` : "until it is unpinned";
  return `Pinned to ${pin.target} ${until}${pin.by ? `, by ${pin.by}` : ""}${pin.reason ? `: ${pin.reason}` : ""}`;
}

// drillWords says what a drill that runs has done so far.
export function drillWords(group, now) {
  const d = group.drill;
  const left = words.countdown((Date.parse(d.until) - now) / 1000);
  const done = `${words.count(d.secondary)} answered there, ${words.count(d.rescued)} by ${group.primary} after it, ${words.plural(d.failed, "error")}`;
  return `Drill: ${words.percent(d.share)} of the requests that may fail over go to ${group.secondary} (${left} left)${d.by ? `, by ${d.by}` : ""}${d.reason ? `: ${d.reason}` : ""}. So far ${done}`;
}

// backWords says when the pointer returns to the primary.
export function backWords(group, now) {
  if (group.role !== "secondary" || group.pin) return "";
  if (group.failback_at) {
    const left = (Date.parse(group.failback_at) - now) / 1000;
    return left > 0 ? `Returns to ${group.primary} in ${words.countdown(left)}, if it stays healthy` : `Returns to ${group.primary} now`;
  }
  if (group.follow) return "";
  return group.failback === "manual" ? `Returns to ${group.primary} when somebody fails it back` : `Returns to ${group.primary} once it has been healthy for long enough`;
}

class OriginRow {
  #name;
  #addresses = el("span", { class: "addresses" });
  #drain;
  #strip;

  constructor(name, model, actions) {
    this.#name = name;
    this.#strip = strip(name, () => model.now());
    this.#drain = el("button", { type: "button", onclick: () => actions.drain(name) });
    this.node = el(
      "section",
      { class: "origin", "aria-label": `Origin ${name}` },
      el("div", { class: "origin-head" }, el("div", {}, el("strong", { text: name }), this.#addresses), this.#drain),
      this.#strip.node,
    );
  }

  update(origin) {
    const [first, ...rest] = origin.addresses;
    text(this.#addresses, first ? first + (rest.length ? ` and ${rest.length} more` : "") : origin.url);
    attr(this.#addresses, "title", [origin.url, ...origin.addresses].join("\n"));
    text(this.#drain, origin.drained ? "Make ready…" : "Drain…");
    attr(this.#drain, "aria-label", origin.drained ? `Make ${this.#name} ready…` : `Drain ${this.#name}…`);
    show(this.#strip.node, origin.verdict !== "unchecked");
    this.#strip.update(origin);
  }
}
