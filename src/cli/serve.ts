import { Command, InvalidArgumentError, Option } from "commander";
import { SERVE_LIMITS, type ServeOptions, serveModels } from "../index.js";
import { duration, type EngineFlags, path, wholeNumber, withEngineFlags } from "./options.js";
import { print, say } from "./output.js";
import { takeSignals } from "./stop.js";

interface Flags extends EngineFlags {
  readonly host: string;
  readonly port: number;
  readonly index: Readonly<Record<string, string>>;
  readonly share: Readonly<Record<string, number>>;
  readonly allowAnonymous: boolean;
  readonly watch: boolean;
  readonly watchEvery: number;
  readonly drain: number;
  readonly stopTimeout: number;
  readonly logLevel: NonNullable<ServeOptions["logLevel"]>;
  readonly maxBodyBytes: number;
  readonly maxUsers: number;
  readonly maxTop: number;
  readonly maxHistory: number;
  readonly maxItems: number;
  readonly headerTimeout: number;
  readonly receiveTimeout: number;
  readonly answerTimeout: number;
  readonly maxWaitingUsers: number;
  readonly maxWait: number;
}

/** Parses `FOLDER`, of the default model, or `NAME=FOLDER`. */
function namedFolder(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const [, name = "default", folder = text] = /^([A-Za-z0-9_.-]{1,64})=(.*)$/s.exec(text) ?? [];
  if (Object.hasOwn(before, name)) {
    throw new InvalidArgumentError(`Expected one folder for each model but received two for "${name}".`);
  }
  return { ...before, [name]: path(folder) };
}

/** Parses `NAME=PERCENT`. */
function share(text: string, before: Readonly<Record<string, number>>): Record<string, number> {
  const [, name, percent] = /^([^=]+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (!name) throw new InvalidArgumentError("Expected the percentage of users of a model, such as new=10.");
  return { ...before, [name]: Number(percent) };
}

/** An option that takes a duration and gives whole milliseconds. */
function time(flags: string, description: string, defaultMs: number): Option {
  const parser = (text: string) => Math.round(1000 * duration(text));
  return new Option(flags, description).argParser(parser).default(defaultMs, `${defaultMs / 1000}s`);
}

export function serveCommand(): Command {
  const command = new Command("serve")
    .description("answer requests over HTTP: shortlists, vectors, scores, similar items (docs/serve.md)")
    .argument("<models...>", "model folders: one, or several as NAME=FOLDER", namedFolder as never)
    .option("--port <n>", "port to listen on; 0 takes any free one", wholeNumber(0, 65_535), 8080)
    .option("--host <address>", "address to listen on; others than loopback need SHORTLIST_TOKEN", "127.0.0.1")
    .option("--allow-anonymous", "serve other machines without a token", false)
    .option("--index <folder>", "index of the model, or NAME=FOLDER for one of several; repeatable", namedFolder, {})
    .option("--share <name=percent>", "users that a model serves; the first has the rest; repeatable", share, {})
    .option("--watch", "open a model again when its folder changes", false)
    .addOption(time("--watch-every <time>", "time between two looks at the folders", 2000))
    .addOption(time("--drain <time>", "time between /readyz being 503 and the end of accepting", 0))
    .addOption(time("--stop-timeout <time>", "time that requests in progress have at the end", 30_000))
    .addOption(
      new Option("--log-level <level>", "least severe level of the log; debug has each request")
        .choices(["debug", "info", "warn", "error", "silent"])
        .default("info"),
    );
  return withEngineFlags(withLimits(command)).action(async (models: Record<string, string>, flags: Flags) => {
    const token = process.env["SHORTLIST_TOKEN"] || undefined;
    const {
      index: indexes,
      share: shares,
      watchEvery: watchMs,
      drain: drainMs,
      stopTimeout: stopMs,
      executor,
      threads,
    } = flags;
    const { host, port, allowAnonymous, watch, logLevel } = flags;
    const stop = new AbortController();
    const server = await serveModels({
      ...{
        models,
        indexes,
        shares,
        host,
        port,
        token,
        allowAnonymous,
        watch,
        watchMs,
        drainMs,
        stopMs,
        executor,
        threads,
      },
      ...{ logLevel, limits: limitsOf(flags), onLog: (line) => process.stderr.write(line), signal: stop.signal },
    });
    const stopped = new Promise<void>((resolve) => {
      takeSignals({ SIGTERM: resolve, SIGINT: resolve, SIGHUP: () => void server.reload().catch(() => {}) });
    });
    await print(`${server.url}\n`);
    await stopped;
    const unfinished = await server.close();
    if (unfinished > 0) say(`${unfinished} requests were cut off after --stop-timeout`);
    process.exit(unfinished > 0 ? 1 : 0);
  });
}

function withLimits(command: Command): Command {
  const { bodyBytes, users, top, history, items, headerMs, receiveMs, answerMs, waitingUsers, waitMs } = SERVE_LIMITS;
  return command
    .option("--max-body-bytes <n>", "largest body", wholeNumber(1), bodyBytes)
    .option("--max-users <n>", "largest number of users of a request", wholeNumber(1), users)
    .option("--max-top <n>", "longest list", wholeNumber(1), top)
    .option("--max-history <n>", "largest number of clicks of a user", wholeNumber(1), history)
    .option("--max-items <n>", "largest number of items, exclude or allow", wholeNumber(1), items)
    .addOption(time("--header-timeout <time>", "time within which a header must arrive", headerMs))
    .addOption(time("--receive-timeout <time>", "time within which a request must arrive", receiveMs))
    .addOption(time("--answer-timeout <time>", "time within which a request must be answered", answerMs))
    .option("--max-waiting-users <n>", "users that may wait for their answers", wholeNumber(1), waitingUsers)
    .addOption(time("--max-wait <time>", "expected wait at which requests are refused", waitMs));
}

function limitsOf(flags: Flags): ServeOptions["limits"] {
  return {
    bodyBytes: flags.maxBodyBytes,
    users: flags.maxUsers,
    top: flags.maxTop,
    history: flags.maxHistory,
    items: flags.maxItems,
    headerMs: flags.headerTimeout,
    receiveMs: flags.receiveTimeout,
    answerMs: flags.answerTimeout,
    waitingUsers: flags.maxWaitingUsers,
    waitMs: flags.maxWait,
  };
}
