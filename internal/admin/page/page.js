// The page: it joins the feed, the model and the views. What the feed hears
// marks views as due, and they are drawn once before the next frame; a hidden
// page gets no frames, so it only listens.

import { Actions } from "./actions.js";
import { Charts } from "./charts.js";
import { attr, el, show, text } from "./dom.js";
import { Feed, post } from "./feed.js";
import { Groups } from "./groups.js";
import { limits, Model } from "./model.js";
import { Routes } from "./routes.js";
import { Timeline } from "./timeline.js";
import * as words from "./words.js";

const $ = (id) => document.getElementById(id);

const due = new Set();
let asked = false;
let told = null;
const model = new Model((what) => {
  if (what === "status") head();
  // What comes before the first status is drawn with it.
  if (model.status && !asked) requestAnimationFrame(draw);
  asked = model.status !== null;
  due.add(what);
});
const feed = new Feed(model, signIn);
const actions = new Actions(model, $("toasts"), signIn);
const groups = new Groups($("groups"), model, actions);
const charts = new Charts({ root: $("charts"), time: $("charts-time"), pick: $("charts-pick"), select: $("charts-group") }, model);
const routes = new Routes({ root: $("routes"), filter: $("routes-filter"), pick: $("routes-pick"), count: $("routes-count") }, model);
const timeline = new Timeline({ list: $("events"), more: $("events-more"), kinds: $("events-kinds") }, model);

function draw() {
  const what = new Set(due);
  due.clear();
  asked = false;
  if ($("main").hidden && $("signin").hidden) $("main").hidden = false;
  if (what.has("status") || what.has("samples")) groups.update();
  if (what.has("status")) routes.update();
  if (what.has("samples") || what.has("events")) charts.update();
  if (what.has("events")) timeline.update();
}

// head is what a tab shows too, so it does not wait for a frame.
function head() {
  const { status } = model;
  told ??= model.events[0]?.seq ?? 0;
  const { level, text: sentence } = words.headline(status, model.now(), model.errors());
  attr($("headline"), "data-level", level);
  attr($("headline-icon"), "href", "#i-" + level);
  text($("headline-text"), sentence);
  const title = (level === "ok" ? "" : `${sentence} · `) + "Fairlead";
  if (document.title !== title) document.title = title;
  attr($("icon"), "href", level === "bad" ? "icon-bad.svg" : level === "warn" ? "icon-warn.svg" : "icon.svg");
  facts(status);
  const failed = status.config.failed ?? [];
  show($("refused"), failed.length > 0);
  if ([...$("refused-list").children].map((li) => li.textContent).join("\n") !== failed.join("\n")) {
    $("refused-list").replaceChildren(...failed.map((line) => el("li", { text: line })));
  }
}

function facts(status) {
  const { open, limit } = status.connections;
  const said = [
    `Fairlead ${status.version}`,
    `up ${words.duration((model.now() - Date.parse(status.started)) / 1000)}`,
    `configuration ${status.config.fingerprint.slice(0, 12)}, loaded ${words.time(Date.parse(status.config.loaded), model.now())}`,
    limit ? `${words.count(open)} of ${words.count(limit)} client connections` : words.plural(open, "client connection"),
  ];
  if (status.state === "draining") said.push("draining");
  text($("facts"), said.join(" · "));
  text($("foot"), `Process ${status.pid}, ${status.config.file}. Times are ${words.zone(model.now())}.`);
}

// Flips and verdicts are told to those who hear the page. told is the last
// event that they know of: with the first status, all that were there before.
function announce() {
  if (told === null) return;
  const newest = model.events[0]?.seq ?? 0;
  if (newest < told) told = 0; // another process, which counts from one again
  const fresh = model.events.filter((e) => e.seq > told && ["flip", "verdict"].includes(e.kind));
  if (fresh.length > 0) text($("announce"), fresh.map((e) => e.text).reverse().join(" "));
  told = newest;
}

// tick brings to date what grows older without news.
function tick() {
  feed.check();
  announce();
  const silence = model.silence();
  const stale = silence > limits.staleS;
  attr(document.documentElement, "data-stale", stale);
  const state = !$("signin").hidden ? "signed out" : silence === Infinity ? "connecting" : stale ? `no data since ${words.duration(silence)}` : "live";
  text($("feed-text"), state);
  attr($("feed"), "data-state", state === "live" ? "live" : stale ? "stale" : "wait");
  if (model.status && !stale) timeline.age(model.now());
}

function signIn(wanted) {
  show($("signin"), wanted);
  if (wanted) {
    $("main").hidden = true;
    $("token").focus();
  } else if (model.status) $("main").hidden = false;
  tick();
}

$("signin").addEventListener("submit", async (e) => {
  e.preventDefault();
  try {
    await post("v1/session", { token: $("token").value });
    $("token").value = "";
    show($("signin-problem"), false);
    feed.open();
  } catch (refused) {
    text($("signin-problem"), refused.status === 401 ? "That is not the token. Look at the file again." : refused.message);
    show($("signin-problem"), true);
    $("token").select();
  }
});

const themes = ["system", "light", "dark"];
function theme(next) {
  const root = document.documentElement;
  const now = root.dataset.theme ?? "system";
  const want = next ? themes[(themes.indexOf(now) + 1) % themes.length] : now;
  if (want === "system") delete root.dataset.theme;
  else root.dataset.theme = want;
  text($("theme"), `Theme: ${want}`);
  if (!next) return;
  try {
    if (want === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", want);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
}
$("theme").addEventListener("click", () => theme(true));
theme(false);

feed.open();
tick();
setInterval(tick, 1000);
