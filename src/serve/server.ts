import { readFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, Server as NetServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ShortlistError } from "../errors.js";
import { createEngine, type Engine, engineOptionsOf } from "../executors/index.js";
import { createApp } from "./app.js";
import { Metrics } from "./metrics.js";
import { ModelSet } from "./model_set.js";
import { type ResolvedOptions, resolveOptions, type ServeOptions } from "./options.js";
import { type App, loadPackages, type Packages } from "./packages.js";
import { AdmissionQueue } from "./queue.js";
import type { Service } from "./routes.js";
import { type ReloadResult, ServedModel } from "./served_model.js";
import { FolderWatcher } from "./watch.js";

/** Milliseconds that idle connections are given to send one more request, which is told to close the connection. */
const IDLE_MS = 1000;
/** Milliseconds between two looks at what is in progress while the service stops, and at slow senders. */
const [STOPPING_EVERY_MS, SLOW_EVERY_MS] = [20, 500];
/** Milliseconds for which an idle connection is kept; load balancers often keep theirs for 60 seconds. */
const KEEP_ALIVE_MS = 72_000;

/** A service that answers requests over HTTP (docs/serve.md). */
export interface ModelServer {
  /** Address of the service, such as http://127.0.0.1:8080. */
  readonly url: string;
  readonly port: number;
  /**
   * Opens a model, or all of them, again from the folders. A new model serves as soon as it is checked; requests in
   * progress end on the old one. Throws what opening the model throws if it cannot serve, and the old one goes on.
   */
  reload(name?: string): Promise<ReloadResult[]>;
  /**
   * Stops: `/readyz` answers 503, no connection is accepted any more, requests in progress are answered, and the models
   * are closed. Returns the number of requests that did not end within `stopMs` and were cut off.
   */
  close(): Promise<number>;
}

/**
 * Serves models over HTTP: shortlists, vectors, scores, similar items, metrics and an OpenAPI document. Starts when all
 * models are open. Throws ERR_DEPENDENCY if the optional packages that it needs are missing, ERR_OPTION for impossible
 * options, what `openModel` throws for a model that cannot be opened, and ERR_FILE if it cannot listen.
 */
export async function serveModels(options: ServeOptions): Promise<ModelServer> {
  const resolved = resolveOptions(options);
  const { signal } = resolved;
  signal?.throwIfAborted();
  const packages = await loadPackages();
  signal?.throwIfAborted();
  const engine = createEngine(engineOptionsOf(resolved));
  const opened: ServedModel[] = [];
  try {
    for (const [name, folder] of Object.entries(resolved.models)) {
      const indexFolder = resolved.indexes[name];
      opened.push(await ServedModel.open({ name, folder, indexFolder }, engine, signal));
    }
    signal?.throwIfAborted();
    return await HttpService.start(resolved, packages, engine, opened);
  } catch (error) {
    for (const model of opened) await model.close();
    engine.close();
    throw error;
  }
}

class HttpService implements ModelServer {
  readonly #options: ResolvedOptions;
  readonly #engine: Engine;
  readonly #models: ModelSet;
  readonly #metrics: Metrics;
  #app!: App;
  #server!: Server;
  #watcher: FolderWatcher | undefined;
  /** Requests in progress and open connections. */
  readonly #responses = new Set<ServerResponse>();
  readonly #sockets = new Set<Socket>();
  #isAccepting = true;
  #closing: Promise<number> | undefined;

  private constructor(options: ResolvedOptions, engine: Engine, models: ModelSet, metrics: Metrics) {
    this.#options = options;
    this.#engine = engine;
    this.#models = models;
    this.#metrics = metrics;
  }

  static async start(
    options: ResolvedOptions,
    packages: Packages,
    engine: Engine,
    opened: readonly ServedModel[],
  ): Promise<HttpService> {
    const { limits, watch, watchMs } = options;
    const models = new ModelSet(opened, options.shares);
    const queue = new AdmissionQueue(limits);
    const metrics = new Metrics(packages.prometheus, queue);
    const service = new HttpService(options, engine, models, metrics);
    const parts: Service = {
      models,
      limits,
      queue,
      metrics,
      isReady: () => service.#closing === undefined,
      isAccepting: () => service.#isAccepting,
      reload: (name) => service.reload(name),
    };
    service.#app = await createApp(packages, options, parts, packageVersion(), (handler) => {
      service.#server = createServer(
        {
          headersTimeout: limits.headerMs,
          requestTimeout: Math.max(limits.headerMs, limits.receiveMs),
          connectionsCheckingInterval: SLOW_EVERY_MS,
          keepAliveTimeout: KEEP_ALIVE_MS,
        },
        handler,
      );
      return service.#server;
    });
    for (const model of opened) {
      metrics.setModel(model);
      if (model.hasIndexFolder) metrics.setIndexed(model);
    }
    await service.#listen();
    if (watch) {
      const folders = opened.flatMap(({ source: { folder, indexFolder } }) =>
        indexFolder === undefined ? [folder] : [folder, indexFolder],
      );
      service.#watcher = await FolderWatcher.start(folders, watchMs, (folder) => service.#reloadFolder(folder));
    }
    const names = opened.map(({ id, source: { name, folder, indexFolder } }) => ({
      ...{ name, id, folder },
      ...(indexFolder !== undefined && { index: indexFolder }),
    }));
    service.#app.log.info({ url: service.url, models: names }, "serving");
    return service;
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#options;
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.#server.on("request", (_, response: ServerResponse) => {
      this.#responses.add(response);
      response.once("close", () => this.#responses.delete(response));
    });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (cause) => {
        reject(new ShortlistError("ERR_FILE", `Cannot listen on ${host}, port ${port}: ${cause.message}`, { cause }));
      });
      this.#server.listen({ host, port }, resolve);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? this.#options.port;
  }

  get url(): string {
    const { host } = this.#options;
    return `http://${host.includes(":") ? `[${host}]` : host}:${this.port}`;
  }

  async reload(name?: string): Promise<ReloadResult[]> {
    const models = name === undefined ? this.#models.all : [this.#models.find(name)];
    const results: ReloadResult[] = [];
    for (const model of models) results.push(await this.#reloadModel(model));
    return results;
  }

  async #reloadModel(model: ServedModel): Promise<ReloadResult> {
    const { name, folder, id: before } = model;
    try {
      const reloaded = await model.reload();
      this.#metrics.countReload(name, reloaded.result);
      this.#reportReload(model, reloaded, before);
      return reloaded;
    } catch (error) {
      this.#metrics.countReload(name, "failed");
      const { code, message } = error as ShortlistError;
      this.#app.log.error({ model: name, folder, id: before, code, error: message }, "the old model goes on serving");
      if (!(error instanceof ShortlistError)) throw error;
      throw new ShortlistError(code, `${message}. Model "${name}" goes on serving as before`, { cause: error });
    }
  }

  #reportReload(model: ServedModel, { name, id, result, problem }: ReloadResult, before: string | null): void {
    const { source } = model;
    if (result === "swapped") {
      this.#metrics.setModel(model);
      this.#app.log.info({ model: name, folder: source.folder, id, before }, "swapped the model");
    }
    if (source.indexFolder !== undefined) this.#metrics.setIndexed(model);
    if (result === "indexed") this.#app.log.info({ model: name, id, index: source.indexFolder }, "opened the index");
    if (!problem) return;
    const { code, message } = problem;
    this.#app.log.warn({ model: name, id, code, error: message }, "the model serves, but something is wrong");
  }

  async #reloadFolder(folder: string): Promise<void> {
    const { all } = this.#models;
    for (const model of all.filter(({ source }) => [source.folder, source.indexFolder].includes(folder))) {
      await this.#reloadModel(model).catch(() => {}); // the log has the reason
    }
  }

  close(): Promise<number> {
    this.#closing ??= this.#stop();
    return this.#closing;
  }

  async #stop(): Promise<number> {
    const { drainMs, stopMs } = this.#options;
    this.#app.log.info({ requests: this.#responses.size }, "stopping");
    this.#watcher?.close();
    if (drainMs > 0) await sleep(drainMs);
    this.#isAccepting = false;
    // The method of http.Server would also close connections on which a request may be on its way.
    NetServer.prototype.close.call(this.#server);
    const started = performance.now();
    const elapsed = () => performance.now() - started;
    while (this.#responses.size > 0 || (this.#sockets.size > 0 && elapsed() < IDLE_MS)) {
      if (elapsed() >= stopMs) break;
      await sleep(STOPPING_EVERY_MS);
    }
    const unfinished = this.#responses.size;
    this.#server.closeAllConnections();
    await this.#app.close();
    for (const model of this.#models.all) await model.close();
    this.#engine.close();
    this.#metrics.close();
    this.#app.log.info({ unfinished }, "stopped");
    return unfinished;
  }
}

function packageVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { readonly version: string }).version;
}
