import { type Clicks, itemVocabulary } from "../../data/clicks.js";
import {
  clickNumbers,
  itemFeatures,
  missingWords,
  timeField,
  type UserFeature,
  userFeatures,
  weightField,
} from "../../data/schema.js";
import { SearchLookup } from "../../data/searches.js";
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
  | {
      readonly kind: "categorical";
      readonly index: number;
      readonly multiple: boolean;
      readonly vocabulary: Vocabulary;
    }
  | { readonly kind: "tokens"; readonly index: number; readonly lookup: SearchLookup }
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
  /** The user features of each kind. */
  readonly features: Readonly<Record<UserFeature["kind"], readonly UserFeature[]>>;
  readonly itemFields: readonly ItemField[];
  readonly clickFields: ReadonlySet<string>;
  /** What a click can be, for messages. */
  readonly expectedClick: string;
  /** Names of the fields with the time and the weight of a click. Undefined without such a field. */
  readonly time: string | undefined;
  readonly weight: string | undefined;
  /** Names of the fields with numbers of a click. */
  readonly clickNumbers: readonly string[];
}

function requestSchema(description: ModelDescription): RequestSchema {
  const { schema, vocabularies } = description;
  const userFields = new Map<string, UserField>();
  const features: Record<UserFeature["kind"], UserFeature[]> = { categorical: [], number: [], tokens: [] };
  for (const feature of userFeatures(schema)) {
    const { name, kind, multiple } = feature;
    const index = features[kind].push(feature) - 1;
    const vocabulary = vocabularies.get(name)!;
    if (kind === "number") userFields.set(name, { kind, index });
    else if (kind === "tokens") userFields.set(name, { kind, index, lookup: new SearchLookup(vocabulary) });
    else userFields.set(name, { kind, index, multiple, vocabulary });
  }
  return {
    description,
    items: itemVocabulary(description),
    missing: missingWords(schema),
    userFields,
    features,
    itemFields: itemFeatures(schema).map((field) => ({ ...field, vocabulary: vocabularies.get(field.name)! })),
    clickFields: new Set(schema.click.map(({ name }) => name)),
    expectedClick: `an item or an object with ${schema.click.map(({ name }) => name).join(", ")}`,
    time: schema.click[timeField(schema)]?.name,
    weight: schema.click[weightField(schema)]?.name,
    clickNumbers: clickNumbers(schema),
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

/** The ids of a feature, and where those of each user or click begin if it is multi-valued. */
interface ValueLists {
  readonly ids: number[];
  readonly offsets: number[] | undefined;
}

/** Collects some users of a call as ids. */
class UsersEncoder {
  readonly #schema: RequestSchema;
  readonly #unknown: UnknownValue[][] = [];
  readonly #tokens: readonly ValueLists[];
  readonly #searches: readonly {
    readonly queryOffsets: number[];
    readonly offsets: number[];
    readonly ids: number[];
  }[];
  readonly #numbers: readonly number[][];
  readonly #values: readonly ValueLists[];
  readonly #clickNumbers: readonly number[][];
  readonly #clickOffsets: number[] = [0];
  #clicks = 0;
  /** Where the value is that is being encoded; `#place` makes its name, which is rarely needed. */
  #where = "";
  #click = -1;
  #field = "";
  #index = -1;

  constructor(schema: RequestSchema) {
    this.#schema = schema;
    const { categorical, number, tokens } = schema.features;
    this.#tokens = categorical.map(({ multiple }) => ({ ids: [], offsets: multiple ? [0] : undefined }));
    this.#searches = tokens.map(() => ({ queryOffsets: [0], offsets: [0], ids: [] }));
    this.#numbers = number.map(() => []);
    this.#values = schema.itemFields.map(({ multiple }) => ({ ids: [], offsets: multiple ? [0] : undefined }));
    this.#clickNumbers = schema.clickNumbers.map(() => []);
  }

  /** Adds a user without clicks, and returns the clicks to add. */
  startUser(user: unknown, where: string): readonly unknown[] {
    this.#where = where;
    this.#unknown.push([]);
    for (const { ids } of this.#tokens) ids.push(0);
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
    for (const { ids, offsets } of this.#tokens) offsets?.push(ids.length);
    for (const { queryOffsets, offsets } of this.#searches) queryOffsets.push(offsets.length - 1);
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
        const { ids } = this.#tokens[feature.index]!;
        ids.pop();
        if (feature.multiple) this.#addValues(feature.vocabulary, ids, value);
        else ids.push(this.#lookUp(feature.vocabulary, value));
        continue;
      }
      if (feature.kind === "tokens") {
        this.#addQueries(feature, value);
        continue;
      }
      const values = this.#numbers[feature.index]!;
      values[values.length - 1] = this.#expectNumber(value);
    }
  }

  /** Adds a click of the current user; `index` is its place in the history. */
  addClick(click: unknown, index: number): void {
    const { itemFields, clickFields, expectedClick, time, weight, clickNumbers } = this.#schema;
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
      if (weight !== undefined) this.#checkWeight(own(fields, weight), weight);
      this.#field = itemFields[0]!.name;
    }
    const item = this.#lookUpItem(fields ? own(fields, this.#field) : click);
    this.#values[0]!.ids.push(item);
    for (let f = 1; f < itemFields.length; f++) {
      const { name, multiple, vocabulary } = itemFields[f]!;
      const value = fields && own(fields, name);
      this.#field = name;
      if (value === undefined) this.#addKnownValues(f, item);
      else if (multiple) this.#addValues(vocabulary, this.#values[f]!.ids, value);
      else this.#values[f]!.ids.push(value === null ? 0 : this.#lookUp(vocabulary, value));
    }
    for (const { ids, offsets } of this.#values) offsets?.push(ids.length);
    for (let f = 0; f < clickNumbers.length; f++) {
      this.#field = clickNumbers[f]!;
      const value = fields && own(fields, this.#field);
      this.#clickNumbers[f]!.push(value === undefined || value === null ? Number.NaN : this.#expectNumber(value));
    }
    this.#clicks++;
  }

  /** Adds the queries of past searches. Tokens that the model does not know are left out, and are not reported. */
  #addQueries({ index, lookup }: { readonly index: number; readonly lookup: SearchLookup }, value: unknown): void {
    const { offsets, ids } = this.#searches[index]!;
    if (!Array.isArray(value)) throw requestError(this.#place(), "an array of queries", value);
    for (let i = 0; i < value.length; i++) {
      this.#index = i;
      const query: unknown = value[i];
      if (query === null) continue;
      if (typeof query !== "string") throw requestError(this.#place(), "a string", query);
      if (this.#schema.missing.has(query)) continue;
      for (const id of lookup.idsOf(query)) ids.push(id);
      offsets.push(ids.length);
    }
    this.#index = -1;
  }

  /** Adds the values of a multi-valued feature or field. No value at all is one missing value, as in a log. */
  #addValues(vocabulary: Vocabulary, ids: number[], value: unknown): void {
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

  #expectNumber(value: unknown): number {
    if (typeof value === "number" && Number.isFinite(Math.fround(value))) return value;
    throw requestError(this.#place(), "a finite number that float32 can hold", value);
  }

  #checkTime(value: unknown, time: string): void {
    if (value === undefined || value === null || (typeof value === "number" && Number.isFinite(value))) return;
    this.#field = time;
    throw requestError(this.#place(), "a finite number", value);
  }

  #checkWeight(value: unknown, weight: string): void {
    if (value === undefined || value === null) return;
    if (typeof value === "number" && value >= 0 && Number.isFinite(Math.fround(value))) return;
    this.#field = weight;
    throw requestError(this.#place(), "a finite number of at least 0", value);
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
    const { features, itemFields, description, time, clickNumbers } = this.#schema;
    const none = Number.NaN;
    const clicks: Clicks = {
      users: this.#unknown.length,
      clicks: this.#clicks,
      clickOffsets: new Int32Array(this.#clickOffsets),
      userFeatures: features.categorical.map(({ name }, f) => {
        const { ids, offsets } = this.#tokens[f]!;
        return { name, ids: new Int32Array(ids), ...(offsets && { offsets: new Int32Array(offsets) }) };
      }),
      ...(features.tokens.length > 0 && {
        searches: features.tokens.map(({ name }, f) => {
          const { queryOffsets, offsets, ids } = this.#searches[f]!;
          return {
            ...{ name, queryOffsets: new Int32Array(queryOffsets), offsets: new Int32Array(offsets) },
            ids: new Int32Array(ids),
          };
        }),
      }),
      numbers: features.number.map(({ name }, f) => ({
        name,
        values: new Float32Array(this.#numbers[f]!),
        ...description.numbers.get(name)!,
      })),
      itemFeatures: itemFields.map(({ name }, f) => {
        const { ids, offsets } = this.#values[f]!;
        return { name, ids: new Int32Array(ids), offsets: offsets && new Int32Array(offsets) };
      }),
      // Shortlists are for now, so the times of the clicks are not read. Only training reads their weights.
      ...(time !== undefined && {
        times: { values: new Float64Array(this.#clicks).fill(none), earliest: none, latest: none, farOff: 0 },
      }),
      ...(clickNumbers.length > 0 && {
        clickNumbers: clickNumbers.map((name, f) => ({
          name,
          values: new Float32Array(this.#clickNumbers[f]!),
          ...description.numbers.get(name)!,
        })),
      }),
    };
    return { clicks, unknown: this.#unknown };
  }
}
