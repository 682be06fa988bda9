import { userFeatures } from "../data/schema.js";
import type { Model } from "../model/model.js";
import type { PlacedUsers } from "../model/requests/places.js";
import { requestError } from "../model/requests/values.js";
import { titleOf } from "../model/titled.js";
import { sendAnswers } from "./answers.js";
import { Deadline } from "./deadline.js";
import { detailsOf } from "./item_details.js";
import type { Metrics } from "./metrics.js";
import type { AskedUsers, ModelSet } from "./model_set.js";
import type { ServeLimits } from "./options.js";
import type { App, Reply, Request, Route } from "./packages.js";
import type { AdmissionQueue } from "./queue.js";
import * as schemas from "./schemas.js";
import type { ModelVersion, ReloadResult, ServedModel } from "./served_model.js";

/** What the routes need of the service. */
export interface Service {
  readonly models: ModelSet;
  readonly limits: ServeLimits;
  readonly queue: AdmissionQueue;
  readonly metrics: Metrics;
  /** Whether clients should send requests; the service stops otherwise. */
  readonly isReady: () => boolean;
  /** Whether the service accepts connections. */
  readonly isAccepting: () => boolean;
  readonly reload: (name: string | undefined) => Promise<ReloadResult[]>;
}

/** Latest clicks of a history that an explanation considers, each of which takes another user vector. */
const EXPLAINED_CLICKS = 64;

interface ShortlistsBody extends AskedUsers {
  readonly top: number;
  readonly exclude?: readonly string[];
  readonly allow?: readonly string[];
  readonly keepWatched: boolean;
  readonly probabilities?: boolean;
  readonly explain: boolean;
}

/** Adds the routes of the service. */
export function addRoutes(app: App, service: Service): void {
  for (const route of [...userRoutes(service), ...itemRoutes(service), ...operatorRoutes(service)]) app.route(route);
}

/**
 * Runs a request that asks a model: it is refused if there is too much to do, and ends when its time is over or its
 * client has gone. `users` is the number of users that it is as much work as.
 */
async function run<T>(
  { queue, limits }: Service,
  reply: Reply,
  users: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const release = queue.admit(users);
  const deadline = new Deadline(reply, limits.answerMs);
  try {
    return await work(deadline.signal);
  } finally {
    deadline.end();
    release();
  }
}

/** Returns the users of a body, whose form the JSON schema has checked. */
function usersOf({ users, features, history }: AskedUsers): readonly AskedUsers[] {
  if (users === undefined) return [{ features, history }];
  const name = features !== undefined ? "features" : history !== undefined ? "history" : undefined;
  if (name !== undefined) throw requestError(name, "in one of users, since there are users,", features ?? history);
  return users;
}

function userRoutes(service: Service): Route[] {
  const { models, limits, metrics } = service;
  const answer = async (
    route: string,
    reply: Reply,
    asked: AskedUsers,
    work: number,
    ask: (
      version: ModelVersion,
      users: never,
      call: Options,
      served: ServedModel,
    ) => Promise<object | readonly object[]>,
  ) => {
    const answers = await run(service, reply, work, (signal) =>
      models.ask(
        asked,
        (version, users, placed, served) => ask(version, users, { signal, ...placed }, served),
        (model, users) => metrics.countUsers(route, model, users),
      ),
    );
    return sendAnswers(reply, answers);
  };
  const config = { asksModel: true };
  return [
    {
      method: "POST",
      url: "/v1/shortlists",
      config,
      schema: {
        operationId: "recommend",
        summary: "The items that users may want next",
        tags: ["users"],
        body: schemas.shortlistsBody(limits),
        response: schemas.SHORTLISTS,
      },
      handler: async ({ body }, reply) => {
        const asked = body as ShortlistsBody;
        const { top, exclude, allow, keepWatched, probabilities, explain } = asked;
        const options = { top, exclude, allow, keepWatched, explain };
        const users = usersOf(asked);
        const clicks = ({ history = [] }: AskedUsers) => Math.min(EXPLAINED_CLICKS, history?.length ?? 0);
        const work = users.reduce((sum, user) => sum + (explain ? 1 + clicks(user) : 1), 0);
        return answer("/v1/shortlists", reply, asked, work, (version, own, call, served) => {
          const wanted = probabilities ?? (served.hasIndexFolder ? false : undefined);
          const index = wanted ? undefined : version.index;
          return version.model.recommend(own, { ...options, probabilities: wanted, index, ...call });
        });
      },
    },
    {
      method: "POST",
      url: "/v1/vectors",
      config,
      schema: {
        operationId: "userVectors",
        summary: "The vectors of users",
        tags: ["users"],
        body: schemas.vectorsBody(limits),
        response: schemas.VECTORS,
      },
      handler: async ({ body }, reply) => {
        const asked = body as AskedUsers;
        return answer("/v1/vectors", reply, asked, usersOf(asked).length, ({ model }, own, call) =>
          vectorsOf(model, own, call),
        );
      },
    },
    {
      method: "POST",
      url: "/v1/scores",
      config,
      schema: {
        operationId: "score",
        summary: "The scores of items for users",
        tags: ["users"],
        body: schemas.scoresBody(limits),
        response: schemas.SCORES,
      },
      handler: async ({ body }, reply) => {
        const asked = body as AskedUsers & { readonly items: readonly string[] };
        return answer("/v1/scores", reply, asked, usersOf(asked).length, ({ model }, own, call) =>
          scoresOf(model, own, asked.items, call),
        );
      },
    },
  ];
}

type Options = PlacedUsers & { readonly signal: AbortSignal };

/** `Model.userVectors` with arrays of numbers, whose JSON has the same bits. */
async function vectorsOf(model: Model, users: never, options: Options) {
  const answers: object | readonly object[] = await model.userVectors(users, options);
  type Answer = { readonly vector: Float32Array };
  const plain = (answer: Answer) => ({ ...answer, vector: Array.from(answer.vector) });
  return Array.isArray(answers) ? (answers as Answer[]).map(plain) : plain(answers as Answer);
}

/** `Model.score` with titles. */
async function scoresOf(model: Model, users: never, items: readonly string[], options: Options) {
  const answers: object | readonly object[] = await model.score(users, items, options);
  type Answer = { readonly items: readonly { readonly item: string; readonly id: number; readonly score: number }[] };
  const titled = (answer: Answer) => ({
    ...answer,
    items: answer.items.map(({ item, id, score }) => ({ item, id, ...titleOf(model, id), score })),
  });
  return Array.isArray(answers) ? (answers as Answer[]).map(titled) : titled(answers as Answer);
}

function itemRoutes(service: Service): Route[] {
  const { models, limits } = service;
  return [
    {
      method: "GET",
      url: "/v1/items/:id/similar",
      config: { asksModel: true },
      schema: {
        operationId: "similar",
        summary: "The items that the same users may want",
        tags: ["items"],
        params: schemas.SIMILAR_PATH,
        querystring: schemas.similarQuery(limits),
        response: schemas.SIMILAR,
      },
      handler: async ({ params, query }, reply) => {
        const { id: item } = params as { readonly id: string };
        const { top, model: name } = query as { readonly top: number; readonly model?: string };
        const served = models.find(name);
        return run(service, reply, 1, (signal) =>
          served.current.use(async (version) => {
            version.hasSimilar = true;
            const { model } = version;
            const { known, similar, unknown } = await model.similar(item, { top, signal });
            return {
              model: { name: served.name, id: version.id },
              item,
              ...titleOf(model, model.items.idOf(item)),
              known,
              similar: similar.map(({ item, id, similarity }) => ({ item, id, ...titleOf(model, id), similarity })),
              unknown: unknown.map(({ value }) => ({ field: "id", value })),
            };
          }),
        );
      },
    },
    {
      method: "GET",
      url: "/v1/items",
      config: { asksModel: true },
      schema: {
        operationId: "findItems",
        summary: "Items by words of their title or token, the most popular first",
        tags: ["items"],
        querystring: schemas.itemsQuery(limits),
        response: schemas.ITEMS,
      },
      handler: async ({ query }, reply) => {
        const asked = query as { readonly query: string; readonly top: number; readonly model?: string };
        const served = models.find(asked.model);
        return run(service, reply, 1, (signal) =>
          served.current.use(async (version) => {
            const items = await (await version.finder()).find(asked.query, asked.top, signal);
            return { model: { name: served.name, id: version.id }, items };
          }),
        );
      },
    },
    {
      method: "POST",
      url: "/v1/items/lookup",
      config: { asksModel: true },
      schema: {
        operationId: "lookUpItems",
        summary: "The titles and attributes of items",
        tags: ["items"],
        body: schemas.lookupBody(limits),
        response: schemas.DETAILS,
      },
      handler: async ({ body }, reply) => {
        const asked = body as { readonly items: readonly string[]; readonly model?: string };
        const served = models.find(asked.model);
        return run(service, reply, 1, (signal) =>
          served.current.use(async ({ model }) => {
            const details = await detailsOf(model, asked.items, signal);
            return { model: { name: served.name, id: model.id ?? null }, ...details };
          }),
        );
      },
    },
    {
      method: "GET",
      url: "/v1/models",
      schema: {
        operationId: "listModels",
        summary: "The models, and what requests to them may have",
        tags: ["items"],
        response: schemas.MODELS,
      },
      handler: async () => ({
        models: models.all.map(({ name, id, current: { model, index } }) => ({
          name,
          id,
          share: models.shareOf(name),
          indexed: index !== undefined,
          ...describeRequests(model),
        })),
      }),
    },
  ];
}

/** What requests to a model may have. */
function describeRequests({ items, description: { schema } }: Model) {
  return {
    items: items.size - 1,
    features: userFeatures(schema).map(({ name, kind, multiple }) => ({ name, kind, multiple })),
    columns: schema.columns,
    click: schema.click,
  };
}

function operatorRoutes({ metrics, isReady, reload }: Service): Route[] {
  const config = { isPublic: true };
  const tags = ["operation"];
  return [
    {
      method: "GET",
      url: "/healthz",
      config,
      schema: {
        operationId: "getHealth",
        summary: "Whether the process lives",
        tags,
        security: [],
        response: schemas.STATUS,
      },
      handler: async () => ({ status: "ok" }),
    },
    {
      method: "GET",
      url: "/readyz",
      config,
      schema: {
        operationId: "getReadiness",
        summary: "Whether the service takes new requests",
        tags,
        security: [],
        response: schemas.STATUS,
      },
      handler: async (_: Request, reply) => {
        if (isReady()) return { status: "ready" };
        return reply.code(503).send({ status: "stopping" });
      },
    },
    {
      method: "GET",
      url: "/metrics",
      schema: {
        operationId: "getMetrics",
        summary: "Metrics for Prometheus",
        tags,
        response: { 200: { description: "Metrics", content: { "text/plain": { schema: { type: "string" } } } } },
      },
      handler: async (_: Request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
    },
    {
      method: "POST",
      url: "/v1/admin/reload",
      schema: {
        operationId: "reloadModels",
        summary: "Opens models again; one that cannot serve leaves the old one serving",
        tags,
        body: schemas.RELOAD_BODY,
        response: schemas.RELOAD,
      },
      handler: async ({ body }) => ({
        models: await reload((body as { readonly model?: string } | null)?.model),
      }),
    },
  ];
}
