import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rename } from "node:fs/promises";
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { train } from "../../src/index.js";
import { main, run } from "../cli/run.js";
import { SMALL, withSmallModel } from "../small_model.js";
import { ask, HAS_SERVICE } from "./service.js";

// Windows has no SIGTERM and no SIGHUP that a process could handle.
const served = HAS_SERVICE && process.platform !== "win32" ? test : test.skip;

interface Service {
  readonly child: ChildProcess;
  readonly url: string;
  /** Standard error so far. */
  readonly log: () => string;
  /** The exit code. */
  readonly ended: Promise<number | null>;
}

/** Starts the command in a process of its own, and runs `work` when it serves. */
async function withCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  work: (service: Service) => Promise<void>,
): Promise<void> {
  const child = spawn(process.execPath, [main, "serve", ...args, "--port", "0", "--threads", "2"], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr!.on("data", (data) => (log += data));
  const ended = once(child, "exit").then(([code]) => code as number | null);
  try {
    const [url] = (await Promise.race([
      once(createInterface(child.stdout!), "line"),
      ended.then(() => []),
    ])) as string[];
    assert.ok(url, log);
    await work({ child, url: url!, log: () => log, ended });
  } finally {
    child.kill("SIGKILL");
  }
}

/** Sends a request over a connection of the agent. Rejects if the connection is refused or breaks. */
function post(agent: Agent, url: string, body: string): Promise<{ status: number; connection: string | undefined }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": body.length };
    const sent = request(url, { method: "POST", agent, headers }, (response) => {
      response.resume();
      response.on("end", () => resolve({ status: response.statusCode!, connection: response.headers.connection }));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

served("SIGTERM under load: readyz is 503 first, what was accepted is answered, and the exit code is 0", async () => {
  await withSmallModel(async (at) => {
    await withCommand(
      [at("model"), "--drain", "500ms", "--max-wait", "60s"],
      {},
      async ({ child, url, log, ended }) => {
        const agent = new Agent({ keepAlive: true, maxSockets: 20 });
        const body = JSON.stringify({ users: Array.from({ length: 50 }, () => ({ history: ["v1", "v2"] })), top: 9 });
        let [answered, refused, told] = [0, 0, 0];
        const client = async () => {
          for (;;) {
            try {
              const { status, connection } = await post(agent, `${url}/v1/shortlists`, body);
              assert.is(status, 200);
              answered++;
              if (connection === "close") told++;
            } catch (error) {
              // Once the service does not listen any more, connections are refused; none that it accepted may break.
              assert.is((error as NodeJS.ErrnoException).code, "ECONNREFUSED", log());
              refused++;
              return;
            }
          }
        };
        const clients = Promise.all(Array.from({ length: 20 }, client));
        while (answered < 100) await new Promise(setImmediate);
        assert.is((await ask(`${url}/readyz`)).status, 200);
        child.kill("SIGTERM");
        let status = 200;
        for (let i = 0; status === 200 && i < 1000; i++) status = (await ask(`${url}/readyz`)).status;
        assert.is(status, 503);
        const before = answered;
        await clients;
        assert.is(await ended, 0, log());
        assert.ok(answered > before, "requests are answered while the service drains");
        assert.is(refused, 20);
        assert.ok(told > 0, "clients are told to close their connections");
        assert.match(log(), '"unfinished":0,"msg":"stopped"');
      },
    );
  });
});

served("SIGHUP opens the model again, and SHORTLIST_TOKEN is the token", async () => {
  await withSmallModel(async (at) => {
    await train({ dataset: at("dataset"), output: at("next"), set: SMALL, steps: 3, threads: 1 });
    const token = "a token is never printed".replaceAll(" ", "-");
    const args = [`one=${at("model")}`, `two=${at("model")}`, "--share", "two=100", "--max-top", "7"];
    await withCommand(args, { SHORTLIST_TOKEN: token }, async ({ child, url, log, ended }) => {
      const authorization = `Bearer ${token}`;
      const get = async () => (await ask(`${url}/v1/models`, undefined, { authorization })).body.models;
      assert.is((await ask(`${url}/v1/models`)).status, 401);
      const before = await get();
      assert.equal(
        before.map(({ name, share }: { name: string; share: number }) => [name, share]),
        [
          ["one", 0],
          ["two", 100],
        ],
      );
      const answer = await ask(`${url}/v1/shortlists`, { features: { user_id: "u1" }, top: 8 }, { authorization });
      assert.match(answer.body.error.message, "Expected top to be a whole number from 1 to 7 but received 8");
      await rename(at("model"), at("old"));
      await rename(at("next"), at("model"));
      for (let round = 0; round < 2; round++) {
        child.kill("SIGHUP");
        for (let i = 0; ; i++) {
          const models = await get();
          if (models.every(({ id }: { id: string }) => id !== before[0].id)) break;
          assert.ok(i < 1000, log());
        }
      }
      child.kill("SIGINT");
      assert.is(await ended, 0, log());
      assert.not.match(log(), token);
      assert.match(log(), '"msg":"swapped the model"');
    });
  });
});

served("wrong arguments and models are explained, with the exit codes of the other commands", async () => {
  await withSmallModel(async (at) => {
    const cases: readonly (readonly [args: readonly string[], status: number, message: string | RegExp])[] = [
      [[at("nothing")], 1, "There is no such folder"],
      [[at("model"), "--host", "0.0.0.0"], 1, "Expected a token (SHORTLIST_TOKEN)"],
      [[at("model"), at("model")], 2, 'two for "default"'],
      [[at("model"), "--share", "next=10"], 1, 'received one of "next"'],
      [[at("model"), "--index", at("nothing")], 1, /Cannot read .*index\.json/],
      [[at("model"), "--index", `other=${at("nothing")}`], 1, 'received one of "other"'],
      [[at("model"), "--share", "half"], 2, "such as new=10"],
      [[at("model"), "--port", "70000"], 2, "0 to 65535"],
      [[], 2, "missing required argument"],
      [[at("model"), "--host", "203.0.113.7", "--allow-anonymous"], 1, "Cannot listen on 203.0.113.7, port 8080"],
    ];
    for (const [args, status, message] of cases) {
      const result = run(["serve", ...args], { SHORTLIST_TOKEN: "" });
      assert.is(result.status, status, `${args}: ${result.stderr}`);
      assert.match(result.stderr, message);
      assert.is(result.stdout, "");
    }
  });
});

test.run();
