// What the page knows. It takes what the API says, keeps no more than the
// limits below over any number of days, and says what has changed.

export const limits = { events: 500, samples: 1200, spanS: 600, flips: 24, staleS: 5 };

const flat = (s) => `${s.pid} ${s.started}`;

export class Model {
  status = null;
  events = []; // newest first
  samples = []; // oldest first
  lastFailure = new Map(); // route to {bad, at}: when its failures last grew
  #offset = 0; // the server's clock minus ours, in ms
  #heard = null; // our clock at the last message, in ms
  #changed;

  // changed is called with "status", "events" or "samples".
  constructor(changed = () => {}) {
    this.#changed = changed;
  }

  // now is the server's present, in ms since 1970, on the last offset heard.
  now() {
    return Date.now() + this.#offset;
  }

  // silence is for how many seconds nothing has been heard; Infinity at first.
  silence() {
    return this.#heard === null ? Infinity : (performance.now() - this.#heard) / 1000;
  }

  hear() {
    this.#heard = performance.now();
  }

  // onStatus returns true if another process speaks than before: what is known
  // of events and samples is then forgotten and has to be asked for again.
  onStatus(s) {
    this.hear();
    for (const key of ["groups", "origins", "routes"]) s[key] ??= [];
    for (const o of s.origins) {
      o.addresses ??= [];
      o.probes ??= [];
    }
    for (const r of s.routes) r.breakers ??= [];
    const other = this.status !== null && flat(this.status) !== flat(s);
    if (other) {
      this.events = [];
      this.samples = [];
      this.lastFailure.clear();
      this.#changed("events");
      this.#changed("samples");
    }
    this.#offset = Date.parse(s.now) - Date.now();
    this.#watchFailures(s);
    this.status = s;
    this.#changed("status");
    return other;
  }

  // onGroup and onOrigin take the answer to a change, which comes before the
  // next status.
  onGroup(g) {
    const i = this.status?.groups.findIndex((have) => have.name === g.name) ?? -1;
    if (i < 0) return;
    this.status.groups[i] = g;
    this.#changed("status");
  }

  onOrigin(o) {
    const i = this.status?.origins.findIndex((have) => have.name === o.name) ?? -1;
    if (i < 0) return;
    o.addresses ??= [];
    o.probes ??= [];
    this.status.origins[i] = o;
    this.#changed("status");
  }

  // onEvents takes any number of events in any order; those already known are
  // not taken twice.
  onEvents(list) {
    this.hear();
    const known = new Set(this.events.map((e) => e.seq));
    const fresh = list.filter((e) => !known.has(e.seq));
    if (fresh.length === 0) return;
    this.events.push(...fresh);
    this.events.sort((a, b) => b.seq - a.seq);
    if (this.events.length > limits.events) this.events.length = limits.events;
    this.#changed("events");
  }

  onHistory(h) {
    const old = this.samples;
    this.samples = [];
    const last = h.samples?.at(-1);
    for (const s of h.samples ?? []) this.#take(s);
    for (const s of old) if (!last || Date.parse(s.at) > Date.parse(last.at)) this.#take(s);
    this.#trim();
    this.#changed("samples");
  }

  onSample(s) {
    this.hear();
    this.#take(s);
    this.#trim();
    this.#changed("samples");
  }

  // latest is a group's newest sample, or null without one.
  latest(group) {
    const s = this.samples.at(-1);
    return s?.groups.find((g) => g.group === group) ?? null;
  }

  // peak is the most requests a second that clients sent to a group in the
  // span kept.
  peak(group) {
    let most = 0;
    for (const s of this.samples) {
      const g = s.groups.find((x) => x.group === group);
      if (g) most = Math.max(most, g.requests_per_s);
    }
    return most;
  }

  // errors is how many requests a second went wrong in the last ten seconds.
  errors() {
    const end = this.samples.at(-1)?.t;
    const late = this.samples.filter((s) => s.t > end - 10000);
    if (late.length === 0) return 0;
    return late.reduce((n, s) => n + s.groups.reduce((m, g) => m + g.errors_per_s, 0), 0) / late.length;
  }

  // recentlyFailed says whether a route has failed or shed requests within the
  // last minute.
  recentlyFailed(route) {
    const f = this.lastFailure.get(route);
    return f !== undefined && f.at !== null && this.now() - f.at < 60000;
  }

  // flips of the span that the charts show, newest first.
  flips(group) {
    const from = this.now() - limits.spanS * 1000;
    return this.events
      .filter((e) => e.kind === "flip" && (!group || e.group === group) && Date.parse(e.time) > from)
      .slice(0, limits.flips);
  }

  #take(s) {
    s.groups ??= [];
    s.t = Date.parse(s.at);
    const last = this.samples.at(-1);
    if (last && s.t <= last.t) return;
    this.samples.push(s);
  }

  #trim() {
    const end = this.samples.at(-1)?.t ?? 0;
    const from = end - limits.spanS * 1000;
    let drop = Math.max(0, this.samples.length - limits.samples);
    while (drop < this.samples.length && this.samples[drop].t < from) drop++;
    if (drop > 0) this.samples.splice(0, drop);
  }

  #watchFailures(s) {
    const now = Date.parse(s.now);
    const names = new Set();
    for (const r of s.routes) {
      names.add(r.name);
      const bad = r.totals.failed + r.totals.shed;
      const had = this.lastFailure.get(r.name);
      if (!had) this.lastFailure.set(r.name, { bad, at: null });
      else if (bad > had.bad) this.lastFailure.set(r.name, { bad, at: now });
      else had.bad = bad;
    }
    for (const name of this.lastFailure.keys()) if (!names.has(name)) this.lastFailure.delete(name);
  }
}
