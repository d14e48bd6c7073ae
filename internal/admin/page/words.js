// Numbers, times and states in words. Nothing here touches the page.

const two = (n) => String(n).padStart(2, "0");

// duration says seconds for people, two units at most.
export function duration(s) {
  s = Math.max(0, Math.floor(s));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return pair(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return pair(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
}

// rough says seconds in one unit.
export function rough(s) {
  return duration(s).split(" ", 2).join(" ");
}

// countdown keeps the seconds below an hour, where they are waited for.
export function countdown(s) {
  s = Math.max(0, Math.ceil(s));
  if (s < 60 || s >= 3600) return duration(s);
  return pair(Math.floor(s / 60), "min", s % 60, "s");
}

function pair(a, aUnit, b, bUnit) {
  return b === 0 ? `${a} ${aUnit}` : `${a} ${aUnit} ${b} ${bUnit}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// time is a moment on the reader's clock, with the day where it is not today.
// now and at are milliseconds since 1970.
export function time(at, now, seconds = false) {
  const d = new Date(at);
  const n = new Date(now);
  let s = `${two(d.getHours())}:${two(d.getMinutes())}`;
  if (seconds) s += `:${two(d.getSeconds())}`;
  if (d.toDateString() === n.toDateString()) return s;
  return `${d.getDate()} ${MONTHS[d.getMonth()]} ${s}`;
}

// zone names the reader's clock: "UTC+2", "UTC+5:30", "UTC".
export function zone(at) {
  const m = -new Date(at).getTimezoneOffset();
  if (m === 0) return "UTC";
  const a = Math.abs(m);
  return `UTC${m < 0 ? "−" : "+"}${Math.floor(a / 60)}${a % 60 ? ":" + two(a % 60) : ""}`;
}

export function rate(n) {
  if (n < 0.05) return "0";
  if (n < 9.95) return n.toFixed(1);
  return count(Math.round(n));
}

// count is a whole number, shortened from 100,000 on.
export function count(n) {
  if (n < 100000) return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
  if (n < 999950) return `${(n / 1e3).toFixed(0)}k`;
  if (n < 999.95e6) return `${(n / 1e6).toFixed(1)}M`;
  return `${(n / 1e9).toFixed(1)}G`;
}

export function millis(ms) {
  if (ms <= 0) return "0 ms";
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`;
}

// percent is a share from 0 to 1.
export function percent(share) {
  return `${Number((100 * share).toPrecision(3))} %`;
}

export function plural(n, one, many = one + "s") {
  return `${count(n)} ${n === 1 ? one : many}`;
}

// reasons puts the pointer's reasons into words.
export const reasons = {
  start: "where it started",
  primary_down: "the primary fell, the secondary is healthy",
  secondary_down: "the secondary fell, the primary is healthy",
  both_down: "neither origin is healthy",
  recovered: "one origin is healthy again after both were down",
  failback: "the primary has been healthy for long enough",
  operator: "failed back by hand",
  pin: "pinned by hand",
  follow: "the pointer that it follows is there",
};

// reason says why a group's pointer is where it is. It keeps the reason of a pin
// that is over until it moves.
export function reason(g) {
  if (g.reason === "pin" && !g.pin) return "was pinned by hand";
  return reasons[g.reason] ?? g.reason;
}

// probe says one health check in words.
export function probe(p, now) {
  const at = time(Date.parse(p.at), now, true);
  const took = millis(p.took_ms);
  if (p.dropped) return `${at} counted for nothing${p.error ? ": " + p.error : ""} (${took})`;
  if (p.ok) return `${at} answered${p.status ? " " + p.status : ""} in ${took}`;
  return `${at} failed: ${p.error || (p.status ? "status " + p.status : "no reason given")} (${took})`;
}

export const levels = ["ok", "note", "warn", "bad"];

export function worse(a, b) {
  return levels.indexOf(a) >= levels.indexOf(b) ? a : b;
}

// groupTrouble is what an operator should know about one group, or null.
export function groupTrouble(g, origins, now) {
  if (g.role === "none") return { kind: "none", level: "bad", text: `${g.name} has no origin to go to` };
  const target = origins.get(g.target);
  if (target?.verdict === "down") {
    const since = target.since ? `, which has been down for ${duration((now - Date.parse(target.since)) / 1000)}` : ", which is down";
    return { kind: "target_down", level: "bad", text: `${g.name} is on ${g.target}${since}` };
  }
  if (target?.drained) return { kind: "target_drained", level: "bad", text: `${g.name} is on ${g.target}, which is drained` };
  if (g.pin) {
    const until = g.pin.until ? `until ${time(Date.parse(g.pin.until), now)}` : "until it is unpinned";
    return { kind: "pin", level: g.role === "secondary" ? "warn" : "note", text: `${g.name} is pinned to ${g.pin.target} ${until}` };
  }
  if (g.role === "secondary") {
    return { kind: "secondary", level: "warn", text: `${g.name} is on ${g.target} since ${time(Date.parse(g.since), now)} (${g.reason})` };
  }
  if (g.drill?.running) {
    return { kind: "drill", level: "note", text: `a drill sends ${percent(g.drill.share)} of ${g.name} to ${g.secondary} until ${time(Date.parse(g.drill.until), now)}` };
  }
  return null;
}

const together = {
  none: (n) => `${n} groups have no origin to go to`,
  target_down: (n) => `${n} groups are on an origin that is down`,
  target_drained: (n) => `${n} groups are on an origin that is drained`,
  pin: (n) => `${n} groups are pinned`,
  secondary: (n) => `${n} groups are on their secondaries`,
  drill: (n) => `drills run in ${n} groups`,
};

// headline is the page's first sentence: how things are, the worst first.
// errors is how many requests a second have failed or been shed of late.
export function headline(status, now, errors = 0) {
  const origins = new Map(status.origins.map((o) => [o.name, o]));
  const found = [];
  const targets = new Set(status.groups.map((g) => g.target));
  const kinds = new Map();
  for (const g of status.groups) {
    const t = groupTrouble(g, origins, now);
    if (t) kinds.set(t.kind, [...(kinds.get(t.kind) ?? []), t]);
  }
  for (const [kind, list] of kinds) {
    if (list.length <= 2) found.push(...list);
    else found.push({ level: list.map((t) => t.level).reduce(worse), text: together[kind](list.length) });
  }
  if (errors >= 0.05) found.push({ level: "bad", text: `${rate(errors)} requests a second fail` });
  for (const o of status.origins) {
    if (o.verdict === "down" && !targets.has(o.name)) {
      const since = o.since ? `has been down for ${duration((now - Date.parse(o.since)) / 1000)}` : "is down";
      found.push({ level: "warn", text: `${o.name} ${since}` });
    }
    if (o.drained && !targets.has(o.name)) found.push({ level: "note", text: `${o.name} is drained` });
  }
  // A breaker towards an origin that is down says nothing new.
  const news = (b) => b.state === "open" && origins.get(b.origin)?.verdict !== "down";
  const open = status.routes.flatMap((r) => r.breakers.filter(news).map((b) => ({ route: r.name, origin: b.origin })));
  if (open.length === 1) found.push({ level: "warn", text: `the breaker of ${open[0].route} towards ${open[0].origin} is open` });
  if (open.length > 1) found.push({ level: "warn", text: `${open.length} breakers are open` });
  if (status.state === "draining") found.push({ level: "warn", text: "Fairlead is draining" });
  if (found.length === 0) return { level: "ok", text: "All is well: " + calm(status.groups) };
  // A stable sort: within a level the order above stands.
  found.sort((a, b) => levels.indexOf(b.level) - levels.indexOf(a.level));
  const said = found.slice(0, 3).map((f) => f.text);
  if (found.length > 3) said.push(`and ${found.length - 3} more`);
  return { level: found[0].level, text: said.join("; ") };
}

function calm(groups) {
  if (groups.length === 0) return "no groups are configured";
  if (groups.length === 1) return `${groups[0].name} is on its primary, ${groups[0].target}`;
  return `${groups.length} groups on their primaries`;
}

// routeTrouble ranks a route: 0 is calm. recent says that it has failed or shed
// requests within the last minute.
export function routeTrouble(r, recent) {
  let n = 0;
  if (r.breakers.some((b) => b.state === "open")) n += 8;
  if (recent) n += 4;
  const full = r.bulkhead.max_concurrent > 0 && r.bulkhead.in_use >= r.bulkhead.max_concurrent;
  if (full || r.bulkhead.queued > 0 || r.bulkhead.parked > 0) n += 2;
  if (r.breakers.some((b) => b.state === "half-open")) n += 1;
  return n;
}

// families are the filters of the timeline.
export const families = [
  { key: "all", label: "All", kinds: null },
  { key: "flips", label: "Flips", kinds: ["flip"] },
  { key: "verdicts", label: "Verdicts", kinds: ["verdict"] },
  { key: "breakers", label: "Breakers", kinds: ["breaker"] },
  { key: "hand", label: "By hand", kinds: ["pin", "unpin", "failback", "drain", "ready", "drill_started", "drill_stopped"] },
  { key: "process", label: "Process", kinds: ["start", "stop", "reload", "reload_failed", "pause", "dns", "certificate"] },
];
