import type { ServeLimits } from "./options.js";

// The JSON schemas of requests and answers. Requests are checked by them, and by the library, which knows the schema of
// the model; the OpenAPI document shows both.

const TOKEN = { type: "string", minLength: 1, maxLength: 1024 };
const MODEL_NAME = {
  type: "string",
  minLength: 1,
  maxLength: 64,
  description: "Name of the model (default: the user's)",
};

/** The parts of bodies that several routes have. */
function userFields({ history }: ServeLimits) {
  return {
    features: {
      type: "object",
      additionalProperties: { type: ["string", "number", "null", "array"], items: { type: ["string", "null"] } },
      description: "The user's features by name, such as user_id; arrays of several values or searches. Null: missing",
      examples: [{ user_id: "u7" }],
    },
    history: {
      type: "array",
      maxItems: history,
      description: "The user's clicks, oldest first: items, or objects with the fields of a click",
      items: {
        type: ["string", "object"],
        additionalProperties: { type: ["string", "number", "null", "array"], items: { type: ["string", "null"] } },
      },
      examples: [["v1", "v7"]],
    },
  };
}

const itemList = (limit: number, description: string) => ({
  type: "array",
  maxItems: limit,
  items: { type: "string" },
  description,
});

/** The schema of a body: one user, or many in `users`, and other fields. */
function body(limits: ServeLimits, fields: object, required: readonly string[] = []) {
  const own = userFields(limits);
  return {
    type: "object",
    additionalProperties: false,
    required,
    properties: {
      ...own,
      users: {
        type: "array",
        minItems: 1,
        maxItems: limits.users,
        description: "Many users, in place of features and history. Each has an answer of its own",
        items: { type: "object", additionalProperties: false, properties: own },
      },
      ...fields,
      model: MODEL_NAME,
    },
  };
}

export function shortlistsBody(limits: ServeLimits) {
  return body(limits, {
    top: { type: "integer", minimum: 1, maximum: limits.top, default: 30, description: "Length of each shortlist" },
    exclude: itemList(limits.items, "Items that are not returned"),
    allow: itemList(limits.items, "The only items that may be returned"),
    keepWatched: { type: "boolean", default: false, description: "Also returns items of the history" },
    probabilities: {
      type: "boolean",
      description:
        "Whether items have their probability, which takes the scores of all items (default: true unless there are more than 2^20 elements of item vectors, or an index)",
    },
    explain: { type: "boolean", default: false, description: "Tells which clicks contributed to each score" },
  });
}

export function vectorsBody(limits: ServeLimits) {
  return body(limits, {});
}

export function scoresBody(limits: ServeLimits) {
  return body(limits, { items: itemList(limits.items, "Items to score") }, ["items"]);
}

export function similarQuery(limits: ServeLimits) {
  return {
    type: "object",
    additionalProperties: false,
    properties: {
      top: { type: "integer", minimum: 1, maximum: limits.top, default: 30, description: "Length of the list" },
      model: MODEL_NAME,
    },
  };
}

export const SIMILAR_PATH = { type: "object", required: ["id"], properties: { id: TOKEN } };

export function itemsQuery(limits: ServeLimits) {
  return {
    type: "object",
    additionalProperties: false,
    required: ["query"],
    properties: {
      query: { type: "string", minLength: 1, maxLength: 200, description: "Words of the title or token" },
      top: {
        type: "integer",
        minimum: 1,
        maximum: Math.min(100, limits.top),
        default: 10,
        description: "Largest number of items",
      },
      model: MODEL_NAME,
    },
  };
}

export function lookupBody(limits: ServeLimits) {
  return {
    type: "object",
    additionalProperties: false,
    required: ["items"],
    properties: { items: itemList(limits.items, "Items to look up"), model: MODEL_NAME },
  };
}

export const RELOAD_BODY = {
  type: ["object", "null"],
  additionalProperties: false,
  properties: { model: { ...MODEL_NAME, description: "Name of the model (default: all)" } },
};

const MODEL = {
  type: "object",
  required: ["name", "id"],
  properties: { name: { type: "string" }, id: { type: ["string", "null"], description: "Id of the model folder" } },
};
const KNOWN = { type: "boolean", description: "Whether the model knows the user's id or any value of the clicks" };
const UNKNOWN = {
  type: "array",
  description: "The values that the model does not know",
  items: { type: "object", properties: { field: { type: "string" }, value: { type: "string" } } },
};

const item = (fields: object) => ({
  type: "object",
  required: ["item", "id"],
  properties: {
    item: { type: "string", description: "Token of the item" },
    id: { type: "integer", description: "Id of the item" },
    title: { type: "string", description: "Title of the item, if the model knows one" },
    ...fields,
  },
});

const SCORE = { score: { type: "number" } };
const BECAUSE = {
  type: "array",
  items: {
    type: "object",
    properties: {
      item: { type: "string" },
      position: { type: "integer" },
      effect: { type: "number" },
      similarity: { type: "number" },
    },
  },
};

/** The answer for one user. A request with `users` has `{ users: [answer, …] }`. */
function answer(fields: object) {
  const one = { model: MODEL, ...fields, known: KNOWN, unknown: UNKNOWN };
  return {
    description: "The answer, or with users in the request the answer of each",
    type: "object",
    properties: { ...one, users: { type: "array", items: { type: "object", properties: one } } },
  };
}

const ERROR = {
  description: "What was expected and what was received",
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["code", "message"],
      properties: { code: { type: "string", examples: ["ERR_REQUEST"] }, message: { type: "string" } },
    },
  },
};

/** Adds the answers of errors to the answer of success. */
function responses(success: object) {
  return { 200: success, "4xx": ERROR, "5xx": ERROR };
}

const list = (name: string, of: object, fields: object = {}) =>
  responses({
    description: "The answer",
    type: "object",
    properties: { model: MODEL, ...fields, [name]: { type: "array", items: of } },
  });

export const SHORTLISTS = responses(
  answer({
    items: { type: "array", items: item({ ...SCORE, probability: { type: "number" }, because: BECAUSE }) },
  }),
);
export const VECTORS = responses(answer({ vector: { type: "array", items: { type: "number" } } }));
export const SCORES = responses(answer({ items: { type: "array", items: item(SCORE) } }));
export const SIMILAR = list("similar", item({ similarity: { type: "number" } }), {
  item: { type: "string" },
  title: { type: "string" },
  known: { type: "boolean" },
  unknown: UNKNOWN,
});
export const ITEMS = list("items", item({}));
export const DETAILS = list(
  "items",
  item({
    attributes: {
      type: "object",
      description: "Attributes as of the last click in the training log; null if missing",
      additionalProperties: { type: ["string", "array", "null"], items: { type: "string" } },
    },
  }),
  { unknown: UNKNOWN },
);
export const MODELS = responses({
  description: "The models",
  type: "object",
  properties: {
    models: {
      type: "array",
      items: {
        type: "object",
        properties: {
          ...MODEL.properties,
          share: { type: "number", description: "Percent of the users" },
          indexed: { type: "boolean", description: "Whether shortlists without probabilities come from an index" },
          items: { type: "integer", description: "Number of items" },
          features: { type: "array", items: { type: "object", additionalProperties: true } },
          columns: {
            type: "array",
            description: "The columns of a line of a click log",
            items: { type: "object", additionalProperties: true },
          },
          click: {
            type: "array",
            description: "The fields of a click; the first is the item",
            items: { type: "object", additionalProperties: true },
          },
        },
      },
    },
  },
});
export const RELOAD = responses({
  description: "What became of each model",
  type: "object",
  properties: {
    models: {
      type: "array",
      items: {
        type: "object",
        properties: {
          ...MODEL.properties,
          result: { type: "string", enum: ["swapped", "indexed", "unchanged"] },
          indexed: { type: "boolean", description: "Whether the index of the model is used, if the service has one" },
          problem: {
            ...ERROR.properties.error,
            description: "What needs care although the model serves, such as an index or files that cannot be opened",
          },
        },
      },
    },
  },
});
export const STATUS = {
  200: { description: "Yes", type: "object", properties: { status: { type: "string" } } },
  503: { description: "No", type: "object", properties: { status: { type: "string" } } },
};
