import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import { ShortlistError } from "../errors.js";

// The service runs on packages that are optional dependencies. The parts of them that are used are declared here, so
// that the project compiles without them.

/** A request of fastify. */
export interface Request {
  readonly body: unknown;
  readonly query: unknown;
  readonly params: unknown;
  readonly raw: IncomingMessage;
  readonly headers: IncomingMessage["headers"];
  readonly method: string;
  /** The route that answers the request; its url is undefined if there is none. */
  readonly routeOptions: { readonly url?: string | undefined; readonly config?: RouteConfig };
}

/** A reply of fastify. */
export interface Reply {
  readonly raw: ServerResponse;
  readonly statusCode: number;
  /** Milliseconds since the request was received. */
  readonly elapsedTime: number;
  code(status: number): Reply;
  header(name: string, value: string | number): Reply;
  type(contentType: string): Reply;
  redirect(url: string): Reply;
  send(payload?: unknown): Reply;
}

/** What a route tells the hooks about itself. */
export interface RouteConfig {
  /** Whether it is answered without a token. */
  readonly isPublic?: boolean;
  /** Whether it asks a model, so that it is refused when there is too much to do. */
  readonly asksModel?: boolean;
}

export interface Route {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly schema: Readonly<Record<string, unknown>>;
  readonly config?: RouteConfig;
  readonly handler: (request: Request, reply: Reply) => Promise<unknown>;
}

type Hook = (request: Request, reply: Reply) => Promise<unknown>;

/** An error of the validation by a JSON schema, as Ajv gives it with `verbose`. */
export interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message?: string;
  readonly parentSchema?: Readonly<Record<string, unknown>>;
  readonly data?: unknown;
}

/** A logger of pino. */
export interface Logger {
  debug(values: object, message: string): void;
  info(values: object, message: string): void;
  warn(values: object, message: string): void;
  error(values: object, message: string): void;
}

/** An application of fastify. */
export interface App {
  readonly log: Logger;
  register(plugin: unknown, options?: object): App;
  route(route: Route): App;
  addHook(name: "onRequest" | "onResponse" | "preValidation", hook: Hook): App;
  addSchema(schema: object): App;
  setErrorHandler(handler: (error: unknown, request: Request, reply: Reply) => unknown): App;
  setNotFoundHandler(handler: (request: Request, reply: Reply) => unknown): App;
  setSerializerCompiler(compiler: () => (value: unknown) => string): App;
  removeAllContentTypeParsers(): void;
  addContentTypeParser(
    type: string,
    options: { readonly parseAs: "buffer" },
    parser: (request: Request, body: Buffer) => Promise<unknown>,
  ): App;
  ready(): Promise<unknown>;
  close(): Promise<unknown>;
  /** The OpenAPI document (@fastify/swagger). */
  swagger(): unknown;
}

/** The options of fastify that the service sets. */
export interface AppOptions {
  readonly logger: { readonly level: string; readonly stream: { write(line: string): void } } | false;
  readonly serverFactory: (handler: RequestListener) => Server;
  readonly schemaErrorFormatter: (errors: readonly SchemaError[], part: string) => Error;
  readonly frameworkErrors: (error: unknown, request: Request, reply: Reply) => void;
  readonly ajv: { readonly customOptions: object };
  readonly [option: string]: unknown;
}

/** A registry of metrics of prom-client. */
export interface MetricRegistry {
  readonly contentType: string;
  metrics(): Promise<string>;
  clear(): void;
}

interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
  readonly registers: readonly MetricRegistry[];
  readonly buckets?: readonly number[];
  readonly collect?: (this: Gauge) => void;
}

type Labels = Readonly<Record<string, string | number>>;
export interface Counter {
  inc(labels: Labels, by?: number): void;
}
export interface Gauge {
  set(value: number): void;
  set(labels: Labels, value: number): void;
  remove(labels: Labels): void;
}
export interface Histogram {
  observe(labels: Labels, value: number): void;
}

/** The package prom-client. */
export interface Prometheus {
  readonly Registry: new () => MetricRegistry;
  readonly Counter: new (options: MetricOptions) => Counter;
  readonly Gauge: new (options: MetricOptions) => Gauge;
  readonly Histogram: new (options: MetricOptions) => Histogram;
  collectDefaultMetrics(options: { readonly register: MetricRegistry }): void;
}

/** The packages of the service. */
export interface Packages {
  readonly createApp: ((options: AppOptions) => App) & {
    readonly LogController: new (options: { readonly disableRequestLogging: boolean }) => object;
  };
  readonly swagger: unknown;
  readonly swaggerUi: unknown;
  readonly prometheus: Prometheus;
}

/** Names of the packages, as `npm install` takes them. */
export const PACKAGES = ["fastify", "@fastify/swagger", "@fastify/swagger-ui", "prom-client"] as const;

/** Loads the packages. Throws ERR_DEPENDENCY, with the command that installs them, if one cannot be loaded. */
export async function loadPackages(
  load: (name: string) => Promise<unknown> = (name) => import(name),
): Promise<Packages> {
  const loaded: unknown[] = [];
  for (const name of PACKAGES) {
    try {
      loaded.push(((await load(name)) as { readonly default: unknown }).default);
    } catch (cause) {
      const [reason] = String((cause as Error | undefined)?.message ?? cause).split("\n");
      throw new ShortlistError(
        "ERR_DEPENDENCY",
        `The service needs the package ${name}, which cannot be loaded (${reason}). Install what it needs with "npm install ${PACKAGES.join(" ")}"`,
        { cause },
      );
    }
  }
  const [createApp, swagger, swaggerUi, prometheus] = loaded as [Packages["createApp"], unknown, unknown, Prometheus];
  return { createApp, swagger, swaggerUi, prometheus };
}
