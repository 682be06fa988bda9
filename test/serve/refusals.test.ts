import { connect } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { serveModels } from "../../src/index.js";
import { loadPackages } from "../../src/serve/packages.js";
import { AdmissionQueue } from "../../src/serve/queue.js";
import { expectError } from "../data/temporary.js";
import { withSmallModel } from "../small_model.js";
import { ask, HAS_SERVICE, withService } from "./service.js";

const served = HAS_SERVICE ? test : test.skip;
const SHORTLISTS = "/v1/shortlists";

served("bad requests get a 4xx that names the field", async () => {
  const limits = { bodyBytes: 100_000, users: 3, top: 50, history: 4, items: 5 };
  await withSmallModel(async (at) => {
    await withService({ models: { default: at("model") }, limits }, async ({ url }) => {
      const history = ["v1", "v2", "v3", "v4", "v5"];
      const deep = `${"[".repeat(40_000)}${"]".repeat(40_000)}`;
      const cases: readonly (readonly [path: string, body: unknown, status: number, message: string | RegExp])[] = [
        [SHORTLISTS, "", 400, "Expected the body to be an object but received null"],
        [SHORTLISTS, "[]", 400, "Expected the body to be an object but received an array"],
        [SHORTLISTS, '{"top": 1', 400, "Expected the body to be JSON"],
        [SHORTLISTS, '{"top": 1}}', 400, "Expected the body to be JSON"],
        [SHORTLISTS, Buffer.from('{"model": "\xff"}', "latin1"), 400, "Expected the body to be UTF-8"],
        [SHORTLISTS, deep, 400, "Expected a body of at most 16 levels"],
        [SHORTLISTS, `{"history": ${deep}}`, 400, "Expected a body of at most 16 levels"],
        [SHORTLISTS, `"${"x".repeat(100_000)}"`, 413, "Expected a body of at most 100000 bytes"],
        [SHORTLISTS, { topp: 1 }, 400, 'Unknown field "topp" in the body. Did you mean "top"?'],
        [SHORTLISTS, '{"__proto__": {"top": 1}}', 400, 'Unknown field "__proto__" in the body'],
        [SHORTLISTS, '{"features": {"__proto__": "x"}}', 400, 'Unknown feature "__proto__" in features'],
        [SHORTLISTS, '{"history": [{"item": "v1", "__proto__": "x"}]}', 400, 'Unknown field "__proto__" in history[0]'],
        [SHORTLISTS, { constructor: 1 }, 400, 'Unknown field "constructor"'],
        [SHORTLISTS, { top: "5" }, 400, 'Expected top to be a whole number from 1 to 50 but received "5"'],
        [SHORTLISTS, { top: 51 }, 400, "Expected top to be a whole number from 1 to 50 but received 51"],
        [SHORTLISTS, { top: 0 }, 400, "Expected top to be a whole number from 1 to 50 but received 0"],
        [SHORTLISTS, { top: 2.5 }, 400, "Expected top to be a whole number"],
        [SHORTLISTS, '{"top": 1e400}', 400, "Expected top to be a whole number"],
        [SHORTLISTS, { keepWatched: "no" }, 400, 'Expected keepWatched to be true or false but received "no"'],
        [SHORTLISTS, { exclude: "v1" }, 400, 'Expected exclude to be an array but received "v1"'],
        [SHORTLISTS, { allow: ["v1", 7] }, 400, "Expected allow[1] to be a string but received 7"],
        [SHORTLISTS, { allow: [...history, "v6"] }, 400, "Expected allow to be an array of 0 to 5 elements"],
        [SHORTLISTS, { history }, 400, "Expected history to be an array of 0 to 4 elements but received an array of 5"],
        [SHORTLISTS, { history: [null] }, 400, "Expected history[0] to be a string or an object but received null"],
        [SHORTLISTS, { history: [{ itm: "v1" }] }, 400, 'Unknown field "itm" in history[0]. Did you mean "item"?'],
        [SHORTLISTS, { history: [{ item: { a: 1 } }] }, 400, "Expected history[0].item to be a string"],
        [SHORTLISTS, { history: ["\ud800"] }, 400, "Expected history[0] to be text without halves"],
        [SHORTLISTS, { features: { user_id: 7 } }, 400, "Expected features.user_id to be a string but received 7"],
        [SHORTLISTS, { features: [] }, 400, "Expected features to be an object but received an array"],
        [SHORTLISTS, { users: [] }, 400, "Expected users to be an array of 1 to 3 elements"],
        [SHORTLISTS, { users: [{}, {}, {}, {}] }, 400, "Expected users to be an array of 1 to 3 elements"],
        [SHORTLISTS, { users: [{}, { histry: [] }] }, 400, 'Unknown field "histry" in users[1]'],
        [SHORTLISTS, { users: [{}, { history }] }, 400, "Expected users[1].history to be an array of 0 to 4 elements"],
        [SHORTLISTS, { users: [{}], features: {} }, 400, "Expected features to be in one of users"],
        [SHORTLISTS, { model: "defaul" }, 400, 'Did you mean "default"?'],
        ["/v1/vectors", { top: 3 }, 400, 'Unknown field "top" in the body'],
        ["/v1/scores", {}, 400, "Expected items to be given but received nothing"],
        ["/v1/scores", { items: ["v1", null] }, 400, "Expected items[1] to be a string but received null"],
        ["/v1/admin/reload", { model: "x" }, 400, "Expected model to be one of default"],
        ["/v1/admin/reload", { folder: "/etc" }, 400, 'Unknown field "folder"'],
        ["/v1/items?query=", undefined, 400, "Expected query to be a string of 1 to 200 characters"],
        ["/v1/items", undefined, 400, "Expected query to be given"],
        ["/v1/items?query=a&query=b", undefined, 400, "Expected query to be a string but received an array"],
        ["/v1/items?query=a&top=1e9", undefined, 400, "Expected top to be a whole number from 1 to 50"],
        ["/v1/items?query=a&__proto__=1", undefined, 400, 'Unknown field "__proto__" in the query'],
        ["/v1/items/%ff/similar", undefined, 400, "Expected a URL"],
        ["/v1/items/v1/similar?tops=3", undefined, 400, 'Did you mean "top"?'],
        [`/v1/items/${"x".repeat(2000)}/similar`, undefined, 400, "Expected id to be a string of 1 to 1024"],
        ["/v1/shortlist", {}, 404, 'Expected one of the routes in /openapi.json but received POST "/v1/shortlist"'],
        ["/v1/shortlists", undefined, 404, "received GET"],
      ];
      for (const [path, body, status, message] of cases) {
        const answer = await ask(`${url}${path}`, body);
        const what = `${path} ${String(body).slice(0, 80)}: ${JSON.stringify(answer.body)}`;
        assert.is(answer.status, status, what);
        assert.is(answer.body.error.code, "ERR_REQUEST", what);
        assert.match(answer.body.error.message, message);
      }
      for (const type of [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jso",
        "",
        "multipart/form-data",
      ]) {
        const answer = await ask(`${url}${SHORTLISTS}`, "{}", { "content-type": type });
        assert.is(answer.status, 415, type);
        assert.match(answer.body.error.message, "Expected the content type application/json");
      }
      assert.is(
        (await ask(`${url}${SHORTLISTS}`, "{}", { "content-type": "application/json; charset=utf-8" })).status,
        200,
      );
    });
  });
});

/** Sends bytes over a connection, some at a time, and returns what is answered until the connection is closed. */
function sendRaw(port: number, pieces: readonly string[], everyMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.on("data", (data) => (answer += data));
    socket.on("error", () => {});
    socket.on("close", () => {
      clearInterval(timer);
      resolve(answer);
    });
    const left = [...pieces];
    const timer = setInterval(() => {
      const piece = left.shift();
      if (piece !== undefined) socket.write(piece);
    }, everyMs);
  });
}

served("slow senders, oversized headers and other protocols are cut off with a 4xx", async () => {
  await withSmallModel(async (at) => {
    const limits = { headerMs: 300, receiveMs: 600 };
    await withService({ models: { default: at("model") }, limits }, async ({ url, port }) => {
      const head =
        "POST /v1/shortlists HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n";
      const drops = Array.from({ length: 200 }, () => " ");
      const [slowHeader, slowBody, large, other] = await Promise.all([
        sendRaw(port, [head, ...drops.map((_, i) => `X-${i}: 1\r\n`)], 50),
        sendRaw(port, [`${head}\r\n{`, ...drops], 50),
        sendRaw(port, [`${head}X: ${"x".repeat(100_000)}\r\n\r\n`], 5),
        sendRaw(port, ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"], 5),
      ]);
      assert.match(slowHeader, /^HTTP\/1.1 408 .*"ERR_REQUEST"/s);
      assert.match(slowBody, /^HTTP\/1.1 408 .*"ERR_REQUEST"/s);
      assert.match(large, /^HTTP\/1.1 431 .*"ERR_REQUEST"/s);
      assert.match(other, /^HTTP\/1.1 400 .*"ERR_REQUEST"/s);
      assert.not.match((await ask(`${url}/metrics`)).body, /status="5/);
    });
  });
});

served("a token is needed where other machines may ask, and is compared as a whole", async () => {
  await withSmallModel(async (at) => {
    const models = { default: at("model") };
    for (const host of ["0.0.0.0", "::", "192.0.2.1", "example.org"]) {
      await expectError(serveModels({ models, host, port: 0 }), "ERR_OPTION", "Expected a token (SHORTLIST_TOKEN)");
    }
    for (const token of ["", "short", "with a space"]) {
      await expectError(serveModels({ models, token, port: 0 }), "ERR_OPTION", "Expected the token");
    }
    await withService({ models, host: "0.0.0.0", allowAnonymous: true }, async ({ port }) => {
      assert.is((await ask(`http://127.0.0.1:${port}${SHORTLISTS}`, {})).status, 200);
    });
    const token = "0123456789abcdef";
    await withService({ models, token, host: "0.0.0.0" }, async ({ port }) => {
      const url = `http://127.0.0.1:${port}`;
      for (const authorization of [
        undefined,
        "Bearer",
        `Basic ${token}`,
        `Bearer ${token}x`,
        `Bearer ${token.slice(1)}`,
      ]) {
        for (const path of [SHORTLISTS, "/v1/models", "/metrics", "/v1/admin/reload", "/nothing"]) {
          const body = path === SHORTLISTS || path.endsWith("reload") ? {} : undefined;
          const answer = await ask(`${url}${path}`, body, authorization === undefined ? {} : { authorization });
          assert.equal([answer.status, answer.body.error.code], [401, "ERR_ACCESS"], `${path} ${authorization}`);
          assert.is(answer.headers.get("www-authenticate"), "Bearer");
        }
      }
      const authorization = `Bearer ${token}`;
      assert.is((await ask(`${url}${SHORTLISTS}`, {}, { authorization })).status, 200);
      assert.is((await ask(`${url}/metrics`, undefined, { authorization })).status, 200);
      for (const path of ["/healthz", "/readyz", "/openapi.json", "/docs"]) {
        assert.is((await ask(`${url}${path}`)).status, 200, path);
      }
    });
  });
});

test("requests are refused when those before them would take too long, and admitted again afterwards", () => {
  let now = 0;
  const queue = new AdmissionQueue({ waitingUsers: 100, waitMs: 50 }, () => now);
  // However large it is, a request with nobody before it is admitted.
  queue.admit(500)();
  assert.is(queue.waiting, 0);
  for (let i = 0; i < 2000; i++) {
    const done = queue.admit(1);
    now += 5;
    done();
    now += 100; // Idle time is no time of the users.
  }
  assert.ok(Math.abs(queue.expectedMs) < 1e-9);
  // A pause, such as that of another program, is not taken for the time that users need.
  const afterPause = queue.admit(1);
  now += 10_000;
  afterPause();
  const first = queue.admit(1);
  assert.ok(queue.expectedMs < 6, String(queue.expectedMs));
  now += 5;
  first();
  const admitted: (() => void)[] = [];
  const admitAll = () => {
    for (let i = 0; i < 1000; i++) admitted.push(queue.admit(1));
  };
  assert.throws(admitAll, /Expected room for another request but 10 users are waiting. Try again after 1 s/);
  assert.ok(Math.abs(queue.expectedMs - 52) < 3, String(queue.expectedMs));
  assert.is(queue.refused, 1);
  for (const done of admitted.splice(0)) {
    now += 0.1;
    done();
  }
  assert.is(queue.waiting, 0);
  // Ten times as fast, so that the number of users becomes the limit.
  for (let i = 0; i < 2000; i++) {
    const done = queue.admit(1);
    now += 0.1;
    done();
  }
  assert.throws(admitAll, /100 users are waiting/);
  assert.is(admitted.length, 100);
});

served("too many requests at once are refused with 503, and the accepted ones are answered", async () => {
  await withSmallModel(async (at) => {
    const limits = { waitingUsers: 20 };
    await withService({ models: { default: at("model") }, limits }, async ({ url }) => {
      const history = Array.from({ length: 64 }, (_, i) => `v${i % 9}`);
      const users = Array.from({ length: 10 }, () => ({ history }));
      const body = { users, explain: true };
      const answers = await Promise.all(Array.from({ length: 60 }, () => ask(`${url}${SHORTLISTS}`, body)));
      const refused = answers.filter(({ status }) => status === 503);
      assert.ok(refused.length > 0 && refused.length < 60, `${refused.length} of 60 are refused`);
      for (const { status, body, headers } of answers) {
        if (status === 200) assert.is(body.users.length, 10);
        else {
          assert.is(body.error.code, "ERR_OVERLOAD");
          assert.ok(Number(headers.get("retry-after")) >= 1);
        }
      }
      const { body: metrics } = await ask(`${url}/metrics`);
      assert.is(Number(/^shortlist_refused_requests (\d+)$/m.exec(metrics)![1]), refused.length);
      assert.match(metrics, /^shortlist_waiting_users 0$/m);
      assert.is((await ask(`${url}${SHORTLISTS}`, { users })).status, 200);
    });
  });
});

const REQUESTS = 20;

served("a request that takes too long gets 503, and one whose client has gone is not computed further", async () => {
  await withSmallModel(async (at) => {
    const users = Array.from({ length: 256 }, () => ({ history: Array.from({ length: 64 }, (_, i) => `v${i % 9}`) }));
    const body = { users, explain: true };
    await withService({ models: { default: at("model") }, limits: { answerMs: 5 } }, async ({ url }) => {
      const answer = await ask(`${url}${SHORTLISTS}`, body);
      assert.equal([answer.status, answer.body.error?.code], [503, "ERR_TIMEOUT"]);
      assert.is(answer.headers.get("retry-after"), "1");
    });
    // So many requests that the clients go long before the last of them is computed.
    const limits = { waitingUsers: 1_000_000, waitMs: 60_000 };
    await withService({ models: { default: at("model") }, limits }, async ({ url }) => {
      const client = new AbortController();
      const headers = { "content-type": "application/json" };
      const sent = Array.from({ length: REQUESTS }, () =>
        fetch(`${url}${SHORTLISTS}`, {
          method: "POST",
          headers,
          body: JSON.stringify(body),
          signal: client.signal,
        }).then(
          () => "answered",
          () => "gone",
        ),
      );
      const metric = async (pattern: RegExp) => Number(pattern.exec((await ask(`${url}/metrics`)).body)?.[1] ?? 0);
      const waiting = () => metric(/^shortlist_waiting_users (\d+)$/m);
      for (let i = 0; (await waiting()) === 0; i++) assert.ok(i < 1000, "the requests are computed");
      client.abort();
      assert.ok((await Promise.all(sent)).includes("gone"));
      for (let i = 0; (await waiting()) > 0; i++) assert.ok(i < 1000, "nothing is computed for clients that have gone");
      assert.ok((await metric(/^shortlist_users_total\{.*\} (\d+)$/m)) < REQUESTS * users.length);
    });
  });
});

test("missing packages are explained with the command that installs them", async () => {
  const load = async (name: string) => {
    if (name === "prom-client") throw new Error("Cannot find package 'prom-client'\nstack");
    return { default: {} };
  };
  await expectError(
    loadPackages(load),
    "ERR_DEPENDENCY",
    "The service needs the package prom-client, which cannot be loaded (Cannot find package 'prom-client'). Install what it needs with \"npm install fastify @fastify/swagger @fastify/swagger-ui prom-client\"",
  );
});

test.run();
