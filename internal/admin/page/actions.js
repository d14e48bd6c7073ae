// What an operator can change, each in a dialog that says in words what will
// happen. A change carries the generation that the reader has seen; if the
// pointer has moved since, the dialog shows where it is and asks again.

import { attr, el, show, text } from "./dom.js";
import { get, post, remove } from "./feed.js";
import * as words from "./words.js";

const DURATIONS = [
  ["15m", "15 minutes"],
  ["30m", "30 minutes"],
  ["1h", "1 hour"],
  ["4h", "4 hours"],
  ["12h", "12 hours"],
  ["", "until it is unpinned"],
];

export class Actions {
  #model;
  #toasts;
  #signIn;

  constructor(model, toasts, signIn) {
    this.#model = model;
    this.#toasts = toasts;
    this.#signIn = signIn;
  }

  pin(name) {
    const group = this.#group(name);
    if (!group) return;
    // The other origin is what a pin is mostly for, unless it can't serve.
    const other = group.target === group.secondary ? group.primary : group.secondary;
    const chosen = this.#warning(other) === "" ? other : group.target || group.primary;
    const targets = [group.primary, group.secondary].filter(Boolean).map((origin) => radio("target", origin, origin === chosen, this.#originWords(origin, group)));
    const duration = el("select", { name: "for" }, ...DURATIONS.map(([value, label]) => el("option", { value, text: label, selected: value === "30m" })));
    const reason = el("input", { name: "reason", maxlength: 200, autocomplete: "off", placeholder: "for those who read the log" });
    const fields = [
      el("fieldset", {}, el("legend", { text: "Pin to" }), ...targets),
      el("label", { class: "field" }, el("span", { text: "For" }), duration),
      el("label", { class: "field" }, el("span", { text: "Reason" }), reason),
    ];
    this.#ask({
      title: `Pin ${name}`,
      verb: "Pin",
      fields,
      group: name,
      says: (form) => {
        const to = form.get("target");
        const how = DURATIONS.find(([value]) => value === form.get("for"))[1];
        return [`Every new request of ${name} goes to ${to} ${form.get("for") ? "for " + how : how}, whatever the probes say. Probes go on. Requests in flight finish where they are. The pin survives a restart.`, this.#warning(to)];
      },
      send: (form, change) => {
        const body = { target: form.get("target"), ...change };
        if (form.get("for")) body.for = form.get("for");
        if (form.get("reason").trim()) body.reason = form.get("reason").trim();
        return post(`v1/groups/${encodeURIComponent(name)}/pin`, body);
      },
      done: (g) => `${name} is pinned to ${g.pin?.target ?? g.target}${g.pin?.until ? ` until ${words.time(Date.parse(g.pin.until), this.#model.now())}` : ""}.`,
    });
  }

  unpin(name) {
    this.#ask({
      title: `Unpin ${name}`,
      verb: "Unpin",
      group: name,
      says: () => {
        const g = this.#group(name);
        const now = [g.primary, g.secondary].filter(Boolean).map((o) => this.#originWords(o, g));
        return [`The pointer of ${name} follows the health checks again. They say now: ${now.join("; ")}. If that means another origin, the pointer moves at once or after its hold and failback delay.`, ""];
      },
      send: (_, change) => post(`v1/groups/${encodeURIComponent(name)}/unpin`, change),
      done: (g) => `${name} is unpinned and on ${g.target || "no origin"}.`,
    });
  }

  failback(name) {
    this.#ask({
      title: `Fail ${name} back`,
      verb: "Fail back",
      group: name,
      says: () => {
        const g = this.#group(name);
        return [`Every new request of ${name} goes to its primary, ${g.primary}, now and not after the failback delay. Requests in flight finish on ${g.target}.`, this.#warning(g.primary)];
      },
      send: (_, change) => post(`v1/groups/${encodeURIComponent(name)}/failback`, change),
      done: (g) => `${name} is on ${g.target || "no origin"} again.`,
    });
  }

  stopDrill(name) {
    this.#ask({
      title: `Stop the drill of ${name}`,
      verb: "Stop",
      group: name,
      says: () => {
        const g = this.#group(name);
        return [`Every new request of ${name} goes where the pointer is, ${g.target || "no origin"}. What the drill has sent to ${g.secondary} is finished there.`, ""];
      },
      send: () => remove(`v1/groups/${encodeURIComponent(name)}/drill`),
      done: () => `The drill of ${name} is over.`,
    });
  }

  // drain drains an origin, or makes it ready if it is drained.
  drain(name) {
    const origin = this.#origin(name);
    if (!origin) return;
    const verb = origin.drained ? "ready" : "drain";
    const groups = this.#model.status.groups.filter((g) => g.primary === name || g.secondary === name);
    this.#ask({
      title: origin.drained ? `Make ${name} ready` : `Drain ${name}`,
      verb: origin.drained ? "Make ready" : "Drain",
      says: () => [origin.drained ? readyWords(name, groups) : drainWords(name, groups), ""],
      send: (_, change) => post(`v1/origins/${encodeURIComponent(name)}/${verb}`, { force: change.force }),
      done: () => (origin.drained ? `${name} takes requests again.` : `${name} is drained: it takes no new requests.`),
    });
  }

  #group(name) {
    return this.#model.status?.groups.find((g) => g.name === name);
  }

  #origin(name) {
    return this.#model.status?.origins.find((o) => o.name === name);
  }

  #originWords(name, group) {
    const o = this.#origin(name);
    const role = name === group.primary ? "primary" : "secondary";
    return `${name}, the ${role}, is ${o?.verdict ?? "unknown"}${o?.drained ? " and drained" : ""}`;
  }

  #warning(name) {
    const o = this.#origin(name);
    if (o?.verdict === "down") return `${name} is down. Requests that go there will fail.`;
    if (o?.drained) return `${name} is drained.`;
    return "";
  }

  #ask(question) {
    new Question(question, this.#model, (message) => this.#say(message), this.#signIn).open();
  }

  #say(message) {
    const toast = el("p", { class: "toast", text: message });
    this.#toasts.replaceChildren(toast);
    setTimeout(() => toast.remove(), 6000);
  }
}

function radio(name, value, checked, words) {
  return el("label", { class: "choice" }, el("input", { type: "radio", name, value, checked }), el("span", { text: words }));
}

function drainWords(name, groups) {
  const leaves = groups.filter((g) => g.target === name).map((g) => ({ g, other: g.primary === name ? g.secondary : g.primary }));
  const moves = leaves.map(({ g, other }) => (other ? `${g.name} moves to ${other}` : `${g.name} has no other origin`));
  const rest = groups.length === 0 ? "No group uses it." : moves.length === 0 ? `No group is on it now (${groups.map((g) => g.name).join(", ")}).` : `${listed(moves)}.`;
  return `${name} takes no new requests from any group. ${rest} Requests in flight on it finish. Probes go on.`;
}

function readyWords(name, groups) {
  const homes = groups.filter((g) => g.primary === name && g.target !== name).map((g) => g.name);
  return `${name} may take requests again.${homes.length ? ` ${listed(homes)} ${homes.length === 1 ? "returns" : "return"} to it by the rules of failback.` : ""}`;
}

function listed(items) {
  if (items.length <= 4) return items.join(", ");
  return `${items.slice(0, 3).join(", ")} and ${items.length - 3} more`;
}

class Question {
  #q;
  #model;
  #say;
  #signIn;
  #generation;
  #effect = el("p", { class: "effect" });
  #warning = el("p", { class: "problem", hidden: true });
  #now = el("p", { class: "state-now" });
  #problem = el("p", { class: "problem", role: "alert", hidden: true });
  #force = el("input", { type: "checkbox", name: "force" });
  #forceLabel;
  #confirm;
  #form;

  constructor(question, model, say, signIn) {
    this.#q = question;
    this.#model = model;
    this.#say = say;
    this.#signIn = signIn;
    this.#generation = this.#group()?.generation;
    this.#forceLabel = el("label", { class: "choice force", hidden: true }, this.#force, el("span", { text: "Do it all the same: I know that no healthy origin would be left" }));
    this.#confirm = el("button", { type: "submit", class: "main", text: question.verb });
    const cancel = el("button", { type: "button", text: "Cancel", onclick: () => this.dialog.close() });
    this.#form = el(
      "form",
      { method: "dialog" },
      el("h2", { id: "dialog-title", text: question.title }),
      this.#now,
      ...(question.fields ?? []),
      this.#effect,
      this.#warning,
      this.#problem,
      this.#forceLabel,
      el("div", { class: "buttons" }, cancel, this.#confirm),
    );
    this.dialog = el("dialog", { "aria-labelledby": "dialog-title" }, this.#form);
    this.#form.addEventListener("input", () => this.#tell());
    this.#form.addEventListener("submit", (e) => {
      e.preventDefault();
      this.#submit();
    });
    this.dialog.addEventListener("close", () => this.dialog.remove());
  }

  open() {
    document.body.append(this.dialog);
    this.#tell();
    this.dialog.showModal();
  }

  #group() {
    return this.#q.group && this.#model.status?.groups.find((g) => g.name === this.#q.group);
  }

  #tell() {
    const g = this.#group();
    if (this.#q.group && !g) return;
    const now = this.#model.now();
    show(this.#now, Boolean(g));
    if (g) text(this.#now, `Now: ${g.name} is on ${g.target || "no origin"} since ${words.time(Date.parse(g.since), now, true)} (${g.reason}), generation ${g.generation}.`);
    const [effect, warning] = this.#q.says(new FormData(this.#form));
    text(this.#effect, effect);
    text(this.#warning, warning);
    show(this.#warning, warning !== "");
    this.#confirm.disabled = !this.#forceLabel.hidden && !this.#force.checked;
  }

  async #submit() {
    if (this.#confirm.disabled) return;
    const form = new FormData(this.#form);
    const change = {};
    if (this.#generation) change.generation = this.#generation;
    if (this.#force.checked) change.force = true;
    this.#busy(true);
    try {
      const answer = await this.#q.send(form, change);
      if (this.#q.group) this.#model.onGroup(answer);
      else this.#model.onOrigin(answer);
      this.dialog.close();
      this.#say(this.#q.done(answer));
    } catch (refused) {
      if (refused.status === undefined) throw refused;
      await this.#refused(refused);
    } finally {
      this.#busy(false);
    }
  }

  #busy(yes) {
    attr(this.#form, "aria-busy", yes);
    this.#confirm.disabled = yes || (!this.#forceLabel.hidden && !this.#force.checked);
  }

  async #refused(refused) {
    let said = [refused.message, ...refused.problems].join(" ");
    if (refused.status === 401) {
      this.dialog.close();
      this.#signIn(true);
      return;
    }
    if (refused.code === "stale") {
      // What is true now may be newer than the last status of the stream.
      await get("v1/status").then((s) => this.#model.onStatus(s), () => {});
      this.#generation = this.#group()?.generation ?? refused.generation;
      this.#tell();
      said = `The pointer has moved since you looked. Read what is true now, then confirm again. ${said}`;
    }
    if (refused.code === "no_healthy_origin") {
      show(this.#forceLabel, true);
      this.#force.checked = false;
    }
    text(this.#problem, said);
    show(this.#problem, true);
  }
}
