import { isUtf8 } from "node:buffer";
import type { RequestListener, Server } from "node:http";
import { describeValue } from "../errors.js";
import { tokenCheck } from "./access.js";
import { type Failure, failureBody, failureOf, HttpError, refuseConnection } from "./failures.js";
import type { ResolvedOptions } from "./options.js";
import type { App, Packages, Reply, Request } from "./packages.js";
import { pageRoutes } from "./page.js";
import { addRoutes, type Service } from "./routes.js";
import { describeInvalid } from "./validation.js";

/** Longest item in a URL, encoded. */
const MAX_PARAMETER = 4096;
/** Levels of lists and objects in a body. Valid ones have up to 6, and parsing many thousands takes long. */
const MAX_DEPTH = 16;
const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
/** Where the page of the OpenAPI document is. */
const DOCS = "/docs";

/** Makes the application of a service: its routes, and what holds for all of them. `makeServer` makes the server. */
export async function createApp(
  { createApp, swagger, swaggerUi }: Packages,
  { limits, token, onLog, logLevel }: ResolvedOptions,
  service: Service,
  version: string,
  makeServer: (handler: RequestListener) => Server,
): Promise<App> {
  const app = createApp({
    logger: onLog && logLevel !== "silent" ? { level: logLevel, stream: { write: onLog } } : false,
    serverFactory: makeServer,
    logController: new createApp.LogController({ disableRequestLogging: true }),
    exposeHeadRoutes: false,
    return503OnClosing: false,
    bodyLimit: limits.bodyBytes,
    routerOptions: { maxParamLength: MAX_PARAMETER },
    schemaErrorFormatter: describeInvalid,
    clientErrorHandler: refuseConnection,
    frameworkErrors: (error, request, reply) => void answerFailure(error, request, reply),
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        allErrors: false,
        verbose: true,
        allowUnionTypes: true,
        strictTypes: false,
      },
    },
  });
  const answerFailure = (error: unknown, request: Request, reply: Reply) => {
    const failure = failureOf(error, limits.bodyBytes);
    const asked = { method: request.method, url: request.raw.url };
    if (failure.status >= 500 && failure.code !== "ERR_OVERLOAD" && failure.code !== "ERR_TIMEOUT") {
      app.log.error({ ...asked, err: error }, "a request failed");
    } else app.log.debug({ ...asked, code: failure.code, error: failure.message }, "a request was refused");
    return sendFailure(reply, failure);
  };
  app.setErrorHandler(answerFailure);
  app.setNotFoundHandler((request, reply) => {
    const [path] = (request.raw.url ?? "").split("?");
    const received = `${request.method} ${describeValue(path)}`;
    return answerFailure(
      new HttpError(404, `Expected one of the routes in /openapi.json but received ${received}`),
      request,
      reply,
    );
  });
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  acceptJsonOnly(app);
  addHooks(app, service, token);
  await describeApi(app, { swagger, swaggerUi }, version, token !== undefined);
  // Routes are described by the plugin if they are added after it.
  app.register(async (inner: App) => addRoutes(inner, service));
  for (const route of pageRoutes()) app.route(route);
  await app.ready();
  return app;
}

function sendFailure(reply: Reply, failure: Failure): Reply {
  reply.code(failure.status).type("application/json; charset=utf-8");
  if (failure.retryAfter !== undefined) reply.header("retry-after", failure.retryAfter);
  if (failure.status === 401) reply.header("www-authenticate", "Bearer");
  // What is left of a refused body is not read.
  if (failure.status === 413 || failure.status === 408) reply.header("connection", "close");
  return reply.send(failureBody(failure));
}

function acceptJsonOnly(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, async (_, body) => {
    if (body.length === 0) return null;
    if (!isUtf8(body)) throw new HttpError(400, "Expected the body to be UTF-8 but received other bytes");
    if (isNestedDeeper(body, MAX_DEPTH)) {
      throw new HttpError(400, `Expected a body of at most ${MAX_DEPTH} levels but received a deeper one`);
    }
    try {
      // JSON.parse makes a member named __proto__ like any other, which the schemas then refuse.
      return JSON.parse(body.toString());
    } catch (error) {
      throw new HttpError(400, `Expected the body to be JSON but received what is not: ${(error as Error).message}`);
    }
  });
}

/** Whether the lists and objects of a JSON text are nested deeper than this. */
function isNestedDeeper(json: Uint8Array, most: number): boolean {
  let [depth, isText] = [0, false];
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]!;
    if (isText) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) isText = false;
    } else if (byte === QUOTE) isText = true;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      if (++depth > most) return true;
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
  }
  return false;
}

function addHooks(app: App, { queue, metrics, isAccepting }: Service, token: string | undefined): void {
  const checkToken = token === undefined ? undefined : tokenCheck(token);
  app.addHook("onRequest", async ({ headers, routeOptions }, reply) => {
    // A client that is told to close its connection connects to another process for the next request.
    if (!isAccepting()) reply.header("connection", "close");
    const { isPublic, asksModel } = routeOptions.config ?? {};
    const isPage = routeOptions.url?.startsWith(DOCS) ?? false;
    if (!isPublic && !isPage) checkToken?.(headers.authorization);
    if (asksModel) queue.check(1);
  });
  app.addHook("preValidation", async ({ query }) => {
    const numbers = query as Record<string, unknown> | undefined;
    if (typeof numbers?.["top"] === "string" && /^\d{1,9}$/.test(numbers["top"]))
      numbers["top"] = Number(numbers["top"]);
  });
  app.addHook("onResponse", async (request, reply) => {
    metrics.countRequest(request, reply);
    const { method, raw } = request;
    const { statusCode, elapsedTime } = reply;
    app.log.debug({ method, url: raw.url, status: statusCode, ms: elapsedTime }, "answered");
  });
}

/** Adds the OpenAPI document and its page, which needs no network. */
async function describeApi(
  app: App,
  { swagger, swaggerUi }: Pick<Packages, "swagger" | "swaggerUi">,
  version: string,
  hasToken: boolean,
): Promise<void> {
  const components = { securitySchemes: { token: { type: "http", scheme: "bearer" } } };
  app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Shortlist",
        description: "Shortlists, vectors, scores and similar items of models.",
        version,
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      // The server that the document came from.
      servers: [{ url: "/" }],
      ...(hasToken ? { components, security: [{ token: [] }] } : { security: [] }),
    },
  });
  app.register(swaggerUi, { routePrefix: DOCS, uiConfig: { validatorUrl: null, tryItOutEnabled: true } });
  app.register(async (inner: App) => {
    const config = { isPublic: true };
    inner.route({
      method: "GET",
      url: "/openapi.json",
      config,
      schema: { hide: true },
      handler: async () => app.swagger(),
    });
  });
}
