import { Agent, request } from "node:http";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { withSmallModel } from "../small_model.js";
import { ask, HAS_SERVICE, withService } from "./service.js";

const served = HAS_SERVICE ? test : test.skip;

/** Number of bodies; 100,000 take some minutes. */
const BODIES = Number(process.env["SHORTLIST_BODIES"] ?? 3000);
const SEED = 20;
const AT_ONCE = 16;

/** Random numbers in [0, 1) that depend on the seed only (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Random = () => number;
const pick = <T>(random: Random, values: readonly T[]): T => values[Math.floor(random() * values.length)]!;

const VALID = [
  { features: { user_id: "u1" }, history: ["v1", { item: "v2" }], top: 5, exclude: ["v3"], keepWatched: true },
  { users: [{ history: ["v1"] }, { features: { user_id: "u2" } }], allow: ["v1", "v2"], probabilities: false },
  { history: [{ item: "v5" }], top: 2, explain: true },
  { history: ["v1"], items: ["v2", "v3"] },
  { users: [{ features: { user_id: "u3" } }], items: ["v2"], model: "default" },
  { model: "default" },
];
const NAMES = ["features", "history", "users", "top", "exclude", "allow", "items", "model", "item", "user_id"];
const ODD_NAMES = ["__proto__", "constructor", "toString", "", "hasOwnProperty", "top ", "\u0000", "ключ", "length"];
const ODD_TEXTS = ["", "v1", "\ud800", "\u0000", "null", "NaN", "<unk>", "x".repeat(5000), "__proto__", "\u2028", "🎬"];
const ODD_NUMBERS = [0, -0, -1, 1.5, 1e308, -1e308, 2 ** 53, 5e-324, 1e9, 1001];

/** A value of any kind. */
function anyValue(random: Random, depth = 0): unknown {
  const kind = random();
  if (kind < 0.2) return pick(random, ODD_TEXTS);
  if (kind < 0.4) return pick(random, ODD_NUMBERS);
  if (kind < 0.5) return pick(random, [true, false, null]);
  if (depth > 4) return [];
  const count = Math.floor(random() * (depth === 0 && random() < 0.02 ? 3000 : 5));
  if (kind < 0.75) return Array.from({ length: count }, () => anyValue(random, depth + 1));
  const entries = Array.from({ length: Math.min(count, 8) }, () => {
    return [pick(random, random() < 0.5 ? NAMES : ODD_NAMES), anyValue(random, depth + 1)] as const;
  });
  return objectOf(entries);
}

/** An object whose members are its own whatever their names, as JSON.parse makes it. */
function objectOf(entries: readonly (readonly [string, unknown])[]): object {
  const made = {};
  for (const [name, value] of entries) {
    Object.defineProperty(made, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return made;
}

/** A copy in which some values are replaced, removed, repeated or renamed. */
function changed(random: Random, value: unknown): unknown {
  if (random() < 0.08) return anyValue(random);
  if (Array.isArray(value)) {
    const list = value.map((element) => changed(random, element));
    if (random() < 0.1) list.push(anyValue(random));
    if (random() < 0.01) return Array.from({ length: 2500 }, () => (typeof list[0] === "object" ? 1 : list[0]));
    return list;
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value)
    .filter(() => random() > 0.05)
    .map(([name, inner]) => [random() < 0.04 ? pick(random, ODD_NAMES) : name, changed(random, inner)] as const);
  if (random() < 0.08) entries.push([pick(random, [...NAMES, ...ODD_NAMES]), anyValue(random)]);
  return objectOf(entries);
}

/** Bytes of a body: JSON, or JSON that was cut, or whose bytes were changed, or that is nested deeply. */
function anyBody(random: Random): Buffer {
  const text = JSON.stringify(random() < 0.1 ? anyValue(random) : changed(random, pick(random, VALID)));
  const bytes = Buffer.from(text);
  const kind = random();
  if (kind < 0.05) return bytes.subarray(0, Math.floor(random() * bytes.length));
  if (kind < 0.15) {
    for (let i = 0; i < 3 && bytes.length > 0; i++) bytes[Math.floor(random() * bytes.length)] = random() * 256;
    return bytes;
  }
  if (kind < 0.17) return Buffer.from(`{"history":${"[".repeat(random() * 5000)}${"]".repeat(random() * 5000)}}`);
  if (kind < 0.19) return Buffer.from(`{"features":${'{"a":'.repeat(random() * 2000)}`);
  if (kind < 0.2) return Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes]);
  return bytes;
}

const TYPES = ["application/json; charset=utf-8", "text/plain", "application/xml", "application/json-patch+json", ";"];

function post(agent: Agent, url: string, body: Buffer, type: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": type, "content-length": body.length };
    const sent = request(url, { method: "POST", agent, headers }, (response) => {
      let text = "";
      response.on("data", (data) => (text += data));
      response.on("end", () => resolve({ status: response.statusCode!, text }));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

served(`${BODIES} random bodies get an answer or a 4xx that says why, and the service goes on`, async () => {
  const random = randomNumbers(SEED);
  await withSmallModel(async (at) => {
    const limits = { bodyBytes: 30_000, waitMs: 1_000_000, waitingUsers: 1_000_000, answerMs: 600_000 };
    const lines: string[] = [];
    const onLog = (line: string) => void lines.push(line);
    await withService({ models: { default: at("model") }, limits, onLog, logLevel: "warn" }, async ({ url }) => {
      const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
      const counts = new Map<number, number>();
      let next = 0;
      const client = async () => {
        while (next++ < BODIES) {
          const body = anyBody(random);
          const path = pick(random, ["/v1/shortlists", "/v1/shortlists", "/v1/vectors", "/v1/scores"]);
          const type = random() < 0.03 ? pick(random, TYPES) : "application/json";
          const { status, text } = await post(agent, `${url}${path}`, body, type);
          const what = `seed ${SEED}, ${path}, ${type}: ${body.toString("latin1").slice(0, 300)}: ${text.slice(0, 300)}`;
          assert.ok(status === 200 || (status >= 400 && status < 500), `${status} for ${what}`);
          const answer = JSON.parse(text);
          if (status !== 200) {
            assert.is(answer.error.code, "ERR_REQUEST", what);
            assert.match(answer.error.message, /^(Expected .* but received |Unknown (field|feature) )/s);
            assert.ok(answer.error.message.length < 600, what);
          }
          counts.set(status, (counts.get(status) ?? 0) + 1);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, client));
      agent.destroy();
      for (const status of [200, 400, 413, 415]) assert.ok((counts.get(status) ?? 0) > 0, `some are ${status}`);
      assert.ok(counts.get(200)! > BODIES / 20, "many bodies are valid still");
      assert.equal(lines, []);
      assert.is((await ask(`${url}/v1/shortlists`, VALID[0])).status, 200);
      assert.is(({} as Record<string, unknown>)["top"], undefined);
    });
  });
});

test.run();
