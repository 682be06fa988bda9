import { checkChoice, checkOptions, checkPath, checkSignal, checkWholeNumber, ShortlistError } from "../errors.js";
import type { EngineOptions } from "../executors/index.js";

/** What the service accepts. Each limit has a default; docs/serve.md#limits has the answers beyond them. */
export interface ServeLimits {
  /** Largest body in bytes (default 1 MiB). */
  readonly bodyBytes: number;
  /** Largest number of users of a request (default 256). */
  readonly users: number;
  /** Longest list that may be asked for (default 1000). */
  readonly top: number;
  /** Largest number of clicks of a user (default 2000). */
  readonly history: number;
  /** Largest number of items of `items`, `exclude` or `allow` (default 10,000). */
  readonly items: number;
  /** Milliseconds within which the header of a request must arrive (default 5000). */
  readonly headerMs: number;
  /** Milliseconds within which a whole request must arrive (default 10,000). */
  readonly receiveMs: number;
  /** Milliseconds within which a request must be answered once it has arrived (default 10,000). */
  readonly answerMs: number;
  /** Largest number of users that may be waiting for their answers (default 1024). */
  readonly waitingUsers: number;
  /** Milliseconds that a new request may be expected to wait for those before it (default 250). */
  readonly waitMs: number;
}

/** The defaults of `ServeLimits`. */
export const SERVE_LIMITS: ServeLimits = {
  bodyBytes: 2 ** 20,
  users: 256,
  top: 1000,
  history: 2000,
  items: 10_000,
  headerMs: 5000,
  receiveMs: 10_000,
  answerMs: 10_000,
  waitingUsers: 1024,
  waitMs: 250,
};

/** Options of `serveModels`. Without others, one engine with the default number of threads runs all models. */
export interface ServeOptions extends EngineOptions {
  /** Model folders by the names of the models. The first one serves all users that no share gives to another. */
  readonly models: Readonly<Record<string, string>>;
  /**
   * Index folders, which `buildIndex` wrote, by the names of their models. Shortlists without probabilities, which are
   * then the default, come from the index.
   */
  readonly indexes?: Readonly<Record<string, string>> | undefined;
  /** Percent of the users that a model serves, by its name. The first model has the rest. */
  readonly shares?: Readonly<Record<string, number>> | undefined;
  /** Address to listen on (default 127.0.0.1). */
  readonly host?: string | undefined;
  /** Port to listen on (default 8080). 0 takes any free port. */
  readonly port?: number | undefined;
  /** Token that requests must have in the header `Authorization: Bearer TOKEN` (default: none is needed). */
  readonly token?: string | undefined;
  /** Serves without a token on an address that other machines may reach (default false, which is ERR_OPTION). */
  readonly allowAnonymous?: boolean | undefined;
  /** Limits that differ from `SERVE_LIMITS`. */
  readonly limits?: Partial<ServeLimits> | undefined;
  /** Opens a model again when its folder changes (default false). */
  readonly watch?: boolean | undefined;
  /** Milliseconds between two looks at the folders, with `watch` (default 2000). */
  readonly watchMs?: number | undefined;
  /** Milliseconds for which `close` goes on accepting connections after `/readyz` answers 503 (default 0). */
  readonly drainMs?: number | undefined;
  /** Milliseconds that `close` waits for requests in progress (default 30,000). */
  readonly stopMs?: number | undefined;
  /** Receives each line of the log, which is JSON of pino (default: there is no log). */
  readonly onLog?: ((line: string) => void) | undefined;
  /** The least severe level that is logged (default "info"; "debug" logs every request). */
  readonly logLevel?: "debug" | "info" | "warn" | "error" | "silent" | undefined;
  /** Stops the start of the service, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const SERVE_OPTIONS: Readonly<Record<keyof ServeOptions, true>> = {
  models: true,
  indexes: true,
  shares: true,
  host: true,
  port: true,
  token: true,
  allowAnonymous: true,
  limits: true,
  watch: true,
  watchMs: true,
  drainMs: true,
  stopMs: true,
  onLog: true,
  logLevel: true,
  signal: true,
  executor: true,
  threads: true,
  isa: true,
};

/** Options with their defaults. */
export type ResolvedOptions = Omit<
  Required<ServeOptions>,
  "limits" | "token" | "onLog" | "signal" | "shares" | "indexes"
> & {
  readonly limits: ServeLimits;
  readonly shares: Readonly<Record<string, number>>;
  readonly indexes: Readonly<Record<string, string>>;
} & Pick<ServeOptions, "token" | "onLog" | "signal">;

/** Names of models appear in URLs, metrics and on the command line. */
const MODEL_NAME = /^[A-Za-z0-9_.-]{1,64}$/;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1|::ffff:127(\.\d{1,3}){3})$/;

/** Checks options and adds the defaults. Throws ERR_OPTION for what is impossible. */
export function resolveOptions(options: ServeOptions): ResolvedOptions {
  checkOptions("serveModels", options, SERVE_OPTIONS);
  checkOptions("serveModels: limits", options.limits ?? {}, LIMIT_NAMES);
  checkSignal(options.signal);
  const limits = { ...SERVE_LIMITS, ...defined(options.limits ?? {}) };
  for (const [name, value] of Object.entries(limits)) checkWholeNumber(`limits.${name}`, value, 1, 2 ** 31 - 1);
  const resolved = {
    shares: {},
    indexes: {},
    host: "127.0.0.1",
    port: 8080,
    allowAnonymous: false,
    watch: false,
    watchMs: 2000,
    drainMs: 0,
    stopMs: 30_000,
    logLevel: "info",
    ...defined(options),
    limits,
  } as ResolvedOptions;
  checkWholeNumber("port", resolved.port, 0, 65_535);
  checkWholeNumber("watchMs", resolved.watchMs, 1, 2 ** 31 - 1);
  for (const name of ["drainMs", "stopMs"] as const) checkWholeNumber(name, resolved[name], 0, 2 ** 31 - 1);
  for (const name of ["watch", "allowAnonymous"] as const) checkChoice(name, resolved[name], [true, false]);
  checkChoice("logLevel", resolved.logLevel, ["debug", "info", "warn", "error", "silent"]);
  checkModels(resolved);
  checkAccess(resolved);
  return resolved;
}

const LIMIT_NAMES = Object.fromEntries(Object.keys(SERVE_LIMITS).map((name) => [name, true as const]));

/** The members that are not undefined. */
function defined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}

function checkModels({ models, shares, indexes }: ResolvedOptions): void {
  const names = Object.keys(models ?? {});
  if (names.length === 0) {
    throw new ShortlistError("ERR_OPTION", "Expected models to be model folders by name but received none");
  }
  for (const name of names) {
    if (!MODEL_NAME.test(name)) {
      throw new ShortlistError(
        "ERR_OPTION",
        `Expected the name of a model to be up to 64 letters, digits, ".", "_" and "-" but received ${JSON.stringify(name)}`,
      );
    }
    checkPath(`models.${name}`, models[name]);
  }
  for (const [name, folder] of Object.entries(indexes)) {
    checkPath(`indexes.${name}`, folder);
    if (names.includes(name)) continue;
    throw new ShortlistError(
      "ERR_OPTION",
      `Expected indexes of the models ${names.join(", ")} but received one of "${name}"`,
    );
  }
  let sum = 0;
  for (const [name, share] of Object.entries(shares)) {
    if (!names.slice(1).includes(name)) {
      throw new ShortlistError(
        "ERR_OPTION",
        `Expected shares of models but the first, which has the rest, but received one of "${name}". The models are ${names.join(", ")}`,
      );
    }
    sum += share;
    if (typeof share === "number" && share >= 0 && sum <= 100) continue;
    throw new ShortlistError(
      "ERR_OPTION",
      `Expected shares of 0 to 100 percent in all but received ${String(share)} of "${name}"`,
    );
  }
}

function checkAccess({ host, token, allowAnonymous }: ResolvedOptions): void {
  if (typeof host !== "string" || host === "") {
    throw new ShortlistError("ERR_OPTION", `Expected host to be an address but received ${JSON.stringify(host)}`);
  }
  if (token !== undefined && !(typeof token === "string" && /^[\x21-\x7e]{8,}$/.test(token))) {
    throw new ShortlistError(
      "ERR_OPTION",
      "Expected the token (SHORTLIST_TOKEN) to be at least 8 ASCII characters without spaces but received another one. Make one with: openssl rand -hex 32",
    );
  }
  if (token !== undefined || allowAnonymous || LOOPBACK.test(host)) return;
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected a token (SHORTLIST_TOKEN), since other machines may reach ${host}. Without one, the service runs on 127.0.0.1, or with --allow-anonymous (library: allowAnonymous)`,
  );
}
