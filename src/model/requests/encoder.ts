import { type Clicks, itemVocabulary } from "../../data/clicks.js";
import { itemFeatures, missingWords, timeField, userFeatures } from "../../data/schema.js";
import type { Turns } from "../../data/turns.js";
import type { Vocabulary } from "../../data/vocabulary.js";
import type { ModelDescription } from "../model.js";
import {
  hasFields,
  isWellFormed,
  requestError,
  type UnknownValue,
  type UserRequest,
  unknownFieldError,
} from "./values.js";

/** Users of a call as ids, with what the model does not know of each. */
export interface EncodedUsers {
  readonly clicks: Clicks;
  /** [users] The unknown values of each user. */
  readonly unknown: readonly (readonly UnknownValue[])[];
}

/** A user feature: what its values become, and the place of the feature among those of its kind. */
type UserField =
  | { readonly kind: "categorical"; readonly index: number; readonly vocabulary: Vocabulary }
  | { readonly kind: "number"; readonly index: number };

/** A field of a click that describes the item. */
interface ItemField {
  readonly name: string;
  readonly multiple: boolean;
  readonly vocabulary: Vocabulary;
}

const USER_FIELDS: readonly string[] = ["features", "history"] satisfies (keyof UserRequest)[];
/** Number of clicks that are encoded between two looks at the clock. */
const CLICKS_AT_ONCE = 64;

/** What a model's schema says of requests, in the form in which encoding needs it. */
interface RequestSchema {
  readonly description: ModelDescription;
  readonly items: Vocabulary;
  readonly missing: ReadonlySet<string>;
  readonly userFields: ReadonlyMap<string, UserField>;
  /** Names of the user features of each kind. */
  readonly named: { readonly categorical: readonly string[]; readonly number: readonly string[] };
  readonly itemFields: readonly ItemField[];
  readonly clickFields: ReadonlySet<string>;
  /** What a click can be, for messages. */
  readonly expectedClick: string;
  /** Name of the field with the time of a click. Undefined without times. */
  readonly time: string | undefined;
}

function requestSchema(description: ModelDescription): RequestSchema {
  const { schema, vocabularies } = description;
  const userFields = new Map<string, UserField>();
  const named = { categorical: [] as string[], number: [] as string[] };
  for (const { name, kind } of userFeatures(schema)) {
    const index = named[kind].push(name) - 1;
    userFields.set(name, kind === "number" ? { kind, index } : { kind, index, vocabulary: vocabularies.get(name)! });
  }
  return {
    description,
    items: itemVocabulary(description),
    missing: missingWords(schema),
    userFields,
    named,
    itemFields: itemFeatures(schema).map((field) => ({ ...field, vocabulary: vocabularies.get(field.name)! })),
    clickFields: new Set(schema.click.map(({ name }) => name)),
    expectedClick: `an item or an object with ${schema.click.map(({ name }) => name).join(", ")}`,
    time: schema.click[timeField(schema)]?.name,
  };
}

/** Turns the values of requests into the ids of a model, by the schema of the model. */
export class RequestEncoder {
  readonly #schema: RequestSchema;

  constructor(description: ModelDescription) {
    this.#schema = requestSchema(description);
  }

  /**
   * Encodes users `first` … `end` − 1 of a call. `where` is the place of user u in messages and reports: "" if the
   * call has one user, or such as "users[3].".
   */
  async encode(
    users: readonly unknown[],
    first: number,
    end: number,
    where: (user: number) => string,
    turns: Turns,
  ): Promise<EncodedUsers> {
    const encoder = new UsersEncoder(this.#schema);
    for (let user = first; user < end; user++) {
      if (turns.isDue) await turns.take();
      const history = encoder.startUser(users[user], where(user));
      for (let i = 0; i < history.length; i++) {
        encoder.addClick(history[i], i);
        if (i % CLICKS_AT_ONCE === CLICKS_AT_ONCE - 1 && turns.isDue) await turns.take();
      }
      encoder.endUser();
    }
    return encoder.take();
  }
}

/** The value of a field. A field that is not there is undefined, also one with the name of a method of all objects. */
function own(fields: Readonly<Record<string, unknown>>, name: string): unknown {
  const value = fields[name];
  return typeof value === "function" && !Object.hasOwn(fields, name) ? undefined : value;
}

const NO_CLICKS: readonly unknown[] = [];

/** Collects some users of a call as ids. */
class UsersEncoder {
  readonly #schema: RequestSchema;
  readonly #unknown: UnknownValue[][] = [];
  readonly #tokens: readonly number[][];
  readonly #numbers: readonly number[][];
  readonly #values: readonly { readonly ids: number[]; readonly offsets: number[] | undefined }[];
  readonly #clickOffsets: number[] = [0];
  #clicks = 0;
  /** Where the value is that is being encoded; `#place` makes its name, which is rarely needed. */
  #where = "";
  #click = -1;
  #field = "";
  #index = -1;

  constructor(schema: RequestSchema) {
    this.#schema = schema;
    this.#tokens = schema.named.categorical.map(() => []);
    this.#numbers = schema.named.number.map(() => []);
    this.#values = schema.itemFields.map(({ multiple }) => ({ ids: [], offsets: multiple ? [0] : undefined }));
  }

  /** Adds a user without clicks, and returns the clicks to add. */
  startUser(user: unknown, where: string): readonly unknown[] {
    this.#where = where;
    this.#unknown.push([]);
    for (const ids of this.#tokens) ids.push(0);
    for (const values of this.#numbers) values.push(Number.NaN);
    const name = () => where.slice(0, -1) || "the user";
    if (!hasFields(user)) throw requestError(name(), "an object with features and history", user);
    for (const field in user) {
      if (!USER_FIELDS.includes(field)) throw unknownFieldError("field", field, name(), USER_FIELDS);
    }
    const { features, history } = user;
    if (features !== undefined && features !== null) this.#addFeatures(features);
    if (history === undefined || history === null) return NO_CLICKS;
    if (Array.isArray(history)) return history;
    throw requestError(`${where}history`, "an array of items and clicks, oldest first,", history);
  }

  endUser(): void {
    this.#clickOffsets.push(this.#clicks);
  }

  #addFeatures(given: unknown): void {
    const { userFields } = this.#schema;
    if (!hasFields(given)) throw requestError(`${this.#where}features`, "an object of features by name", given);
    this.#click = -1;
    this.#index = -1;
    for (const name in given) {
      const feature = userFields.get(name);
      if (!feature) throw unknownFieldError("feature", name, `${this.#where}features`, [...userFields.keys()]);
      const value = given[name];
      if (value === undefined || value === null) continue;
      this.#field = name;
      if (feature.kind === "categorical") {
        const ids = this.#tokens[feature.index]!;
        ids[ids.length - 1] = this.#lookUp(feature.vocabulary, value);
        continue;
      }
      if (typeof value !== "number" || !Number.isFinite(Math.fround(value))) {
        throw requestError(this.#place(), "a finite number that float32 can hold", value);
      }
      const values = this.#numbers[feature.index]!;
      values[values.length - 1] = value;
    }
  }

  /** Adds a click of the current user; `index` is its place in the history. */
  addClick(click: unknown, index: number): void {
    const { itemFields, clickFields, expectedClick, time } = this.#schema;
    this.#click = index;
    this.#field = "";
    this.#index = -1;
    const fields = hasFields(click) ? click : undefined;
    if (!fields && typeof click !== "string") throw requestError(this.#place(), expectedClick, click);
    if (fields) {
      for (const name in fields) {
        if (!clickFields.has(name)) throw unknownFieldError("field", name, this.#place(), [...clickFields]);
      }
      if (time !== undefined) this.#checkTime(own(fields, time), time);
      this.#field = itemFields[0]!.name;
    }
    const item = this.#lookUpItem(fields ? own(fields, this.#field) : click);
    this.#values[0]!.ids.push(item);
    for (let f = 1; f < itemFields.length; f++) {
      const { name, multiple, vocabulary } = itemFields[f]!;
      const value = fields && own(fields, name);
      this.#field = name;
      if (value === undefined) this.#addKnownValues(f, item);
      else if (multiple) this.#addValues(f, value);
      else this.#values[f]!.ids.push(value === null ? 0 : this.#lookUp(vocabulary, value));
    }
    for (const { ids, offsets } of this.#values) offsets?.push(ids.length);
    this.#clicks++;
  }

  /** Adds the values of a multi-valued field. No value at all is one missing value, as in a log. */
  #addValues(feature: number, value: unknown): void {
    const { vocabulary } = this.#schema.itemFields[feature]!;
    const { ids } = this.#values[feature]!;
    if (value !== null && !Array.isArray(value)) throw requestError(this.#place(), "an array of strings", value);
    const values = value === null ? NO_CLICKS : (value as readonly unknown[]);
    for (let i = 0; i < values.length; i++) {
      this.#index = i;
      ids.push(values[i] === null ? 0 : this.#lookUp(vocabulary, values[i]));
    }
    this.#index = -1;
    if (values.length === 0) ids.push(0);
  }

  /** Adds the values of an attribute that the item had in the training log. */
  #addKnownValues(feature: number, item: number): void {
    const { ids } = this.#values[feature]!;
    const known = this.#schema.description.catalogue?.[feature - 1];
    const start = known?.offsets ? known.offsets[item]! : item;
    const end = known ? (known.offsets ? known.offsets[item + 1]! : item + 1) : start;
    for (let i = start; i < end; i++) ids.push(known!.ids[i]!);
    if (start === end) ids.push(0);
  }

  #checkTime(value: unknown, time: string): void {
    if (value === undefined || value === null || (typeof value === "number" && Number.isFinite(value))) return;
    this.#field = time;
    throw requestError(this.#place(), "a finite number", value);
  }

  #lookUpItem(value: unknown): number {
    const { items, missing } = this.#schema;
    if (typeof value !== "string" || value === "") throw requestError(this.#place(), "the token of an item", value);
    const id = missing.has(value) ? 0 : this.#idOf(items, value);
    if (id === 0) this.#report(value);
    return id;
  }

  /** The id of a value; 0 if it is missing or, which is reported, unknown. */
  #lookUp(vocabulary: Vocabulary, value: unknown): number {
    if (typeof value !== "string") throw requestError(this.#place(), "a string", value);
    if (this.#schema.missing.has(value)) return 0;
    const id = this.#idOf(vocabulary, value);
    if (id === 0) this.#report(value);
    return id;
  }

  #idOf(vocabulary: Vocabulary, text: string): number {
    if (isWellFormed(text)) return vocabulary.idOf(text);
    throw requestError(this.#place(), "text without halves of surrogate pairs", text);
  }

  #report(value: string): void {
    this.#unknown.at(-1)!.push({ field: this.#place(), value });
  }

  /** The name of the value that is being encoded, such as "users[3].history[2].tags[0]". */
  #place(): string {
    const index = this.#index < 0 ? "" : `[${this.#index}]`;
    if (this.#click < 0) return `${this.#where}features.${this.#field}${index}`;
    return `${this.#where}history[${this.#click}]${this.#field && `.${this.#field}`}${index}`;
  }

  /** Returns what was added. The encoder cannot be used again. */
  take(): EncodedUsers {
    const { named, itemFields, description, time } = this.#schema;
    const none = Number.NaN;
    const clicks: Clicks = {
      users: this.#unknown.length,
      clicks: this.#clicks,
      clickOffsets: new Int32Array(this.#clickOffsets),
      userFeatures: named.categorical.map((name, f) => ({ name, ids: new Int32Array(this.#tokens[f]!) })),
      numbers: named.number.map((name, f) => ({
        name,
        values: new Float32Array(this.#numbers[f]!),
        ...description.numbers.get(name)!,
      })),
      itemFeatures: itemFields.map(({ name }, f) => {
        const { ids, offsets } = this.#values[f]!;
        return { name, ids: new Int32Array(ids), offsets: offsets && new Int32Array(offsets) };
      }),
      // Shortlists are for now, so the times of the clicks are not read.
      ...(time !== undefined && {
        times: { values: new Float64Array(this.#clicks).fill(none), earliest: none, latest: none, farOff: 0 },
      }),
    };
    return { clicks, unknown: this.#unknown };
  }
}
