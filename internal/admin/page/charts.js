// Three charts of the last ten minutes with one cursor through all of them:
// requests a second by origin, errors a second, and how long answers took.

import { attr, el, svg, text } from "./dom.js";
import { limits } from "./model.js";
import { scrub } from "./scrub.js";
import * as words from "./words.js";

// niceMax is the axis' end: a number that halves well, not below most.
export function niceMax(most) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  for (const n of [1, 2, 3, 4, 5, 6, 8, 10]) if (n * power >= most * 0.999) return n * power;
  return 10 * power;
}

// merge makes one row for each sample: of one group, or of all. Rates add up;
// of the times the slowest group's is taken, since they can't be added.
export function merge(samples, group) {
  return samples.map((s) => {
    const row = { t: s.t, primary: 0, secondary: 0, errors: 0, p50: 0, p99: 0 };
    for (const g of s.groups) {
      if (group && g.group !== group) continue;
      row.primary += g.primary_per_s;
      row.secondary += g.secondary_per_s;
      row.errors += g.errors_per_s;
      row.p50 = Math.max(row.p50, g.p50_ms);
      row.p99 = Math.max(row.p99, g.p99_ms);
    }
    return row;
  });
}

// runs cuts rows where samples are missing, so that a line does not pretend to
// know what happened in between.
export function runs(rows) {
  const steps = rows.slice(1).map((r, i) => r.t - rows[i].t);
  const usual = steps.length ? [...steps].sort((a, b) => a - b)[Math.floor(steps.length / 2)] : 0;
  const out = [];
  rows.forEach((r, i) => {
    if (i === 0 || steps[i - 1] > usual * 3.5) out.push([]);
    out.at(-1).push(r);
  });
  return out;
}

// above is the line over those rows alone where a series is more than nothing,
// so that it does not lie on the line of another.
function above(rows, key, spots) {
  let d = "";
  let drawing = false;
  rows.forEach((r, i) => {
    const some = r[key] > 0 || rows[i - 1]?.[key] > 0 || rows[i + 1]?.[key] > 0;
    if (some) d += (drawing ? "L" : "M") + spots[i];
    drawing = some;
  });
  return d;
}

class Chart {
  #series;
  #format;
  #stacked;
  #size = [0, 0];
  #grid = svg("g", { class: "grid" });
  #labels = svg("g", { class: "labels" });
  #flips = svg("g", { class: "flips" });
  #paths;
  #cursor = svg("path", { class: "cursor" });
  #drawing;
  #values;

  constructor(title, { series, format, stacked }) {
    this.#series = series;
    this.#format = format;
    this.#stacked = stacked;
    this.#paths = series.map((s) => ({ area: svg("path", { class: `area ${s.style}` }), line: svg("path", { class: `stroke ${s.style}` }) }));
    this.#values = series.map((s) => ({ label: el("span", { text: s.label }), value: el("b") }));
    this.#drawing = svg("svg", { class: "chart", "aria-hidden": "true", "data-scrub": true }, this.#grid, this.#flips, ...this.#paths.flatMap((p) => [p.area, p.line]), this.#labels, this.#cursor);
    const legend = series.map((s, i) => {
      const key = svg("svg", { class: "key", viewBox: "0 0 22 8", "aria-hidden": "true" }, svg("path", { class: `stroke ${s.style}`, d: "M0 4h22" }));
      return el("span", { class: "legend-item" }, key, this.#values[i].label, " ", this.#values[i].value);
    });
    this.node = el("div", { class: "chart-box" }, el("div", { class: "chart-head" }, el("h3", { text: title }), el("div", { class: "legend" }, ...legend)), this.#drawing);
  }

  get surface() {
    return this.#drawing;
  }

  resize() {
    const box = this.#drawing.getBoundingClientRect();
    this.#size = [box.width, box.height];
    this.font = parseFloat(getComputedStyle(this.#drawing).fontSize) || 12;
    attr(this.#drawing, "viewBox", `0 0 ${box.width} ${box.height}`);
  }

  label(i, s) {
    text(this.#values[i].label, s);
  }

  draw(rows, from, to, flips, now) {
    const [width, height] = this.#size;
    if (width === 0) return;
    const foot = this.font * 1.7;
    const head = this.font * 1.3;
    const total = (r) => (this.#stacked ? this.#series.reduce((n, s) => n + r[s.key], 0) : Math.max(...this.#series.map((s) => r[s.key])));
    const max = niceMax(rows.reduce((n, r) => Math.max(n, total(r)), 0));
    this.x = (t) => ((t - from) / (to - from)) * width;
    this.y = (v) => height - foot - (v / max) * (height - foot - head);
    this.#drawGrid(max, from, to, now, width, height, foot);
    this.#drawSeries(runs(rows));
    this.#drawFlips(flips, height - foot);
  }

  #drawGrid(max, from, to, now, width, height, foot) {
    const parts = [];
    const labels = [];
    for (const v of [0, max / 2, max]) {
      const y = this.y(v).toFixed(1);
      parts.push(svg("path", { d: `M0 ${y}H${width}`, class: v === 0 ? "base" : "rule" }));
      if (v > 0) labels.push(svg("text", { x: 0, y: this.y(v) - this.font * 0.35, text: this.#format(v) }));
    }
    const step = width < this.font * 34 ? 240000 : 120000;
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
      const x = this.x(t);
      if (x < this.font * 1.5 || x > width - this.font * 1.5) continue;
      parts.push(svg("path", { d: `M${x.toFixed(1)} ${height - foot}v4`, class: "base" }));
      labels.push(svg("text", { x, y: height - this.font * 0.3, "text-anchor": "middle", text: words.time(t, now) }));
    }
    this.#grid.replaceChildren(...parts);
    this.#labels.replaceChildren(...labels);
  }

  #drawSeries(all) {
    const below = new Map();
    this.#series.forEach((s, i) => {
      let area = "";
      let line = "";
      for (const run of all) {
        const up = run.map((r) => {
          const base = this.#stacked ? (below.get(r) ?? 0) : 0;
          return [this.x(r.t), this.y(base + r[s.key]), this.y(base), r];
        });
        const spots = up.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`);
        const points = spots.join("L");
        line += i === 0 || !this.#stacked ? "M" + points : above(run, s.key, spots);
        area += `M${points}L${up.reverse().map(([x, , y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}Z`;
        if (this.#stacked) for (const r of run) below.set(r, (below.get(r) ?? 0) + r[s.key]);
      }
      attr(this.#paths[i].area, "d", s.area === false ? "" : area);
      attr(this.#paths[i].line, "d", line);
    });
  }

  #drawFlips(flips, bottom) {
    const parts = flips.flatMap((f) => {
      const x = this.x(Date.parse(f.time)).toFixed(1);
      const size = this.font * 0.38;
      return [svg("path", { class: "flip-line", d: `M${x} ${size * 2}V${bottom}` }), svg("path", { class: "flip-head", d: `M${x} 0l${size} ${size}l${-size} ${size}l${-size} ${-size}z` })];
    });
    this.#flips.replaceChildren(...parts);
  }

  // point moves the cursor to a row, or takes it away; latest is shown then.
  point(row, latest) {
    const r = row ?? latest;
    this.#series.forEach((s, i) => text(this.#values[i].value, r ? this.#format(r[s.key]) : "–"));
    attr(this.#cursor, "d", row && this.x ? `M${this.x(row.t).toFixed(1)} 0V${this.#size[1]}` : "");
  }
}

export class Charts {
  #model;
  #time;
  #select;
  #pick;
  #rows = [];
  #flips = [];
  #walk;
  #requests = new Chart("Requests a second", {
    stacked: true,
    format: words.rate,
    series: [
      { key: "primary", label: "primary", style: "to-primary" },
      { key: "secondary", label: "secondary", style: "to-secondary" },
    ],
  });
  #errors = new Chart("Errors a second", { format: words.rate, series: [{ key: "errors", label: "failed or shed by Fairlead", style: "failed" }] });
  #times = new Chart("Time to answer", {
    format: words.millis,
    series: [
      { key: "p99", label: "p99", style: "late", area: false },
      { key: "p50", label: "p50", style: "usual" },
    ],
  });
  #all = [this.#requests, this.#errors, this.#times];

  constructor({ root, time, pick, select }, model) {
    this.#model = model;
    this.#time = time;
    this.#select = select;
    this.#pick = pick;
    root.append(...this.#all.map((c) => c.node));
    this.#walk = scrub(root, {
      label: "Charts of the last ten minutes",
      size: () => this.#rows.length,
      at: (f) => this.#nearest(f),
      show: (i) => this.#show(i),
    });
    select.addEventListener("change", () => this.update());
    new ResizeObserver(() => {
      for (const c of this.#all) c.resize();
      this.update();
    }).observe(root);
  }

  // names fills the list of groups, if they have changed.
  names(groups) {
    const want = groups.length === 1 ? groups.map((g) => g.name) : ["", ...groups.map((g) => g.name)];
    this.#pick.hidden = groups.length < 2;
    if (want.join("\n") !== [...this.#select.options].map((o) => o.value).join("\n")) {
      const had = this.#select.value;
      this.#select.replaceChildren(...want.map((name) => el("option", { value: name, text: name || "all" })));
      this.#select.value = want.includes(had) ? had : want[0];
    }
    const group = groups.find((g) => g.name === this.#select.value);
    this.#requests.label(0, group?.primary ?? "primaries");
    this.#requests.label(1, group ? group.secondary || "no secondary" : "secondaries");
    this.#times.label(0, group ? "p99" : "p99 of the slowest group");
    this.#times.label(1, group ? "p50" : "p50");
  }

  update() {
    const { status, samples } = this.#model;
    if (status) this.names(status.groups);
    this.#rows = merge(samples, this.#select.value);
    const now = this.#model.now();
    const to = samples.at(-1)?.t ?? now;
    const from = to - limits.spanS * 1000;
    this.#flips = this.#model.flips(this.#select.value).filter((f) => Date.parse(f.time) >= from);
    for (const c of this.#all) c.draw(this.#rows, from, to, this.#flips, now);
    this.#walk.refresh();
  }

  #nearest(fraction) {
    const to = this.#rows.at(-1)?.t ?? 0;
    const t = to - (1 - fraction) * limits.spanS * 1000;
    let best = -1;
    this.#rows.forEach((r, i) => {
      if (best < 0 || Math.abs(r.t - t) < Math.abs(this.#rows[best].t - t)) best = i;
    });
    return best;
  }

  #show(i) {
    const row = this.#rows[i];
    const latest = this.#rows.at(-1);
    for (const c of this.#all) c.point(row, latest);
    const r = row ?? latest;
    if (!r) {
      text(this.#time, "");
      return "no samples yet";
    }
    const flip = row && this.#flips.find((f) => Math.abs(Date.parse(f.time) - row.t) < 5000);
    const when = words.time(r.t, this.#model.now(), true);
    text(this.#time, row ? when + (flip ? `: ${flip.text}` : "") : "");
    return `${when}: ${words.rate(r.primary)} to the primary, ${words.rate(r.secondary)} to the secondary, ${words.rate(r.errors)} errors a second, p50 ${words.millis(r.p50)}, p99 ${words.millis(r.p99)}${flip ? ". " + flip.text : ""}`;
  }
}
