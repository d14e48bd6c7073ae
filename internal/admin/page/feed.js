// The connection to the API: questions, changes and the live stream.

// Refused is an answer of 400 and above, or no answer (status 0).
export class Refused extends Error {
  constructor(status, body) {
    super(body.text || `the admin listener answered ${status}`);
    this.status = status;
    this.code = body.code || "internal";
    this.generation = body.generation;
    this.problems = body.problems ?? [];
  }
}

const ANSWER_MS = 10000; // a listener that takes longer does not answer

async function call(path, init) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS), ...init });
  } catch {
    throw new Refused(0, { code: "unreachable", text: "The admin listener does not answer. Is Fairlead running, and is this machine still connected to it?" });
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  throw new Refused(answer.status, await answer.json().catch(() => ({})));
}

export function get(path) {
  return call(path);
}

export function post(path, body) {
  return call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

export function remove(path) {
  return call(path, { method: "DELETE" });
}

const DEAD_S = 15; // without a message for so long, the stream is opened anew
const WAIT_MS = [500, 1000, 2000, 4000, 8000];

// Feed keeps the model up to date. It asks for the history before each stream,
// which fills the gap of an interruption and tells a listener that wants a
// token (401) from one that is away: an EventSource can't.
export class Feed {
  #model;
  #signIn;
  #stream = null;
  #timer = null;
  #tries = 0;

  // signIn is called when the listener wants a token, and its argument says
  // whether it still does.
  constructor(model, signIn) {
    this.#model = model;
    this.#signIn = signIn;
  }

  async open() {
    this.#close();
    try {
      this.#model.onHistory(await get("v1/history"));
      this.#model.onEvents(await get("v1/events?limit=200"));
    } catch (refused) {
      if (refused.status === 401) this.#signIn(true);
      else this.#again();
      return;
    }
    this.#signIn(false);
    this.#listen();
  }

  // check opens the stream anew if it has gone silent.
  check() {
    if (this.#stream && this.#model.silence() > DEAD_S) this.open();
  }

  #listen() {
    const stream = new EventSource("v1/live");
    this.#stream = stream;
    this.#model.hear();
    const on = (kind, take) => stream.addEventListener(kind, (e) => take(JSON.parse(e.data)));
    on("status", (s) => {
      this.#tries = 0;
      if (this.#model.onStatus(s)) this.open();
    });
    on("event", (e) => this.#model.onEvents([e]));
    on("sample", (s) => this.#model.onSample(s));
    stream.addEventListener("error", () => {
      if (stream === this.#stream) this.#again();
    });
  }

  #again() {
    this.#close();
    this.#timer = setTimeout(() => this.open(), WAIT_MS[Math.min(this.#tries++, WAIT_MS.length - 1)]);
  }

  #close() {
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = null;
  }
}
