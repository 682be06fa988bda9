import type { Counter, Gauge, Histogram, MetricRegistry, Prometheus, Reply, Request } from "./packages.js";
import type { AdmissionQueue } from "./queue.js";
import type { ReloadResult, ServedModel } from "./served_model.js";

/** Upper bounds in seconds: from what the library needs for a small model to the default time limit. */
const BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/** The metrics of the service, in the format of Prometheus; docs/serve.md#metrics explains each. */
export class Metrics {
  readonly #registry: MetricRegistry;
  readonly #durations: Histogram;
  readonly #users: Counter;
  readonly #reloads: Counter;
  readonly #info: Gauge;
  readonly #loaded: Gauge;
  readonly #indexed: Gauge;
  /** The labels of the version of each model that serves now. */
  readonly #labels = new Map<string, Readonly<Record<string, string>>>();

  constructor(prometheus: Prometheus, queue: AdmissionQueue) {
    const register = new prometheus.Registry();
    const registers = [register];
    this.#registry = register;
    prometheus.collectDefaultMetrics({ register });
    this.#durations = new prometheus.Histogram({
      name: "shortlist_request_duration_seconds",
      help: "Time from the arrival of a request's header to the end of its answer",
      labelNames: ["route", "status"],
      buckets: BUCKETS,
      registers,
    });
    this.#users = new prometheus.Counter({
      name: "shortlist_users_total",
      help: "Users that were answered",
      labelNames: ["route", "model"],
      registers,
    });
    this.#reloads = new prometheus.Counter({
      name: "shortlist_reloads_total",
      help: "Attempts to open a model again, by their result",
      labelNames: ["model", "result"],
      registers,
    });
    this.#info = new prometheus.Gauge({
      name: "shortlist_model_info",
      help: "The models that serve now",
      labelNames: ["model", "id"],
      registers,
    });
    this.#loaded = new prometheus.Gauge({
      name: "shortlist_model_loaded_timestamp_seconds",
      help: "When the model that serves now began to serve",
      labelNames: ["model"],
      registers,
    });
    this.#indexed = new prometheus.Gauge({
      name: "shortlist_model_indexed",
      help: "Whether shortlists come from the index that the service has for the model; 0: from exact searches",
      labelNames: ["model"],
      registers,
    });
    new prometheus.Gauge({
      name: "shortlist_waiting_users",
      help: "Users that wait for their answers",
      registers,
      collect() {
        this.set(queue.waiting);
      },
    });
    new prometheus.Gauge({
      name: "shortlist_expected_wait_seconds",
      help: "How long a new request is expected to wait",
      registers,
      collect() {
        this.set(queue.expectedMs / 1000);
      },
    });
    new prometheus.Gauge({
      name: "shortlist_refused_requests",
      help: "Requests that were refused because there was too much to do, since the start",
      registers,
      collect() {
        this.set(queue.refused);
      },
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  countRequest({ routeOptions }: Request, { statusCode, elapsedTime }: Reply): void {
    const labels = { route: routeOptions.url ?? "none", status: statusCode };
    this.#durations.observe(labels, elapsedTime / 1000);
  }

  countUsers(route: string, model: string, users: number): void {
    this.#users.inc({ route, model }, users);
  }

  countReload(model: string, result: ReloadResult["result"] | "failed"): void {
    this.#reloads.inc({ model, result });
  }

  /** Notes which version of a model serves now. */
  setModel({ name, id }: ServedModel): void {
    const before = this.#labels.get(name);
    if (before) this.#info.remove(before);
    const labels = { model: name, id: id ?? "" };
    this.#labels.set(name, labels);
    this.#info.set(labels, 1);
    this.#loaded.set({ model: name }, Date.now() / 1000);
  }

  /** Notes whether a model uses its index. */
  setIndexed({ name, current }: ServedModel): void {
    this.#indexed.set({ model: name }, current.index === undefined ? 0 : 1);
  }

  close(): void {
    this.#registry.clear();
  }
}
