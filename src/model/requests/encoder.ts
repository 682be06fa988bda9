import { type Clicks, type Encoding, itemVocabulary } from "../../data/clicks.js";
import { IntList } from "../../data/int_list.js";
import { itemFeatures, missingWords, timeField, userFeatures } from "../../data/schema.js";
import type { Turns } from "../../data/turns.js";
import type { Vocabulary } from "../../data/vocabulary.js";
import type { ModelDescription } from "../model.js";
import {
  expectArray,
  expectFields,
  expectText,
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

/** Turns the values of requests into the ids of a model, by the schema of the model. */
export class RequestEncoder {
  readonly #description: ModelDescription;
  readonly #missing: ReadonlySet<string>;
  readonly #userFields = new Map<string, UserField>();
  readonly #itemFields: readonly ItemField[];
  readonly #clickFields: readonly string[];
  /** Name of the field with the time of a click. Undefined without times. */
  readonly #time: string | undefined;

  constructor(description: ModelDescription) {
    const { schema, vocabularies } = description;
    this.#description = description;
    this.#missing = missingWords(schema);
    const count = { categorical: 0, number: 0 };
    for (const { name, kind } of userFeatures(schema)) {
      const index = count[kind]++;
      this.#userFields.set(
        name,
        kind === "number" ? { kind, index } : { kind, index, vocabulary: vocabularies.get(name)! },
      );
    }
    this.#itemFields = itemFeatures(schema).map((field) => ({ ...field, vocabulary: vocabularies.get(field.name)! }));
    this.#clickFields = schema.click.map(({ name }) => name);
    this.#time = schema.click[timeField(schema)]?.name;
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
    const table = new UserTable(this.#description, this.#itemFields);
    const unknown: UnknownValue[][] = [];
    for (let user = first; user < end; user++) {
      if (turns.isDue) await turns.take();
      const found: UnknownValue[] = [];
      await this.#addUser(table, users[user], where(user), found, turns);
      unknown.push(found);
    }
    return { clicks: table.take(), unknown };
  }

  async #addUser(table: UserTable, user: unknown, where: string, unknown: UnknownValue[], turns: Turns): Promise<void> {
    const fields = expectFields(user, where.slice(0, -1) || "the user", "an object with features and history");
    for (const name of Object.keys(fields)) {
      if (!USER_FIELDS.includes(name))
        throw unknownFieldError("field", name, where.slice(0, -1) || "the user", USER_FIELDS);
    }
    const { features, history } = fields;
    table.startUser();
    if (features !== undefined && features !== null) this.#addFeatures(table, features, `${where}features`, unknown);
    if (history !== undefined && history !== null) {
      const clicks = expectArray(history, `${where}history`, "items and clicks, oldest first,");
      for (let i = 0; i < clicks.length; i++) {
        this.#addClick(table, clicks[i], () => `${where}history[${i}]`, unknown);
        if (i % CLICKS_AT_ONCE === 0 && turns.isDue) await turns.take();
      }
    }
    table.endUser();
  }

  #addFeatures(table: UserTable, given: unknown, where: string, unknown: UnknownValue[]): void {
    const features = expectFields(given, where, "an object of features by name");
    for (const name of Object.keys(features)) {
      const feature = this.#userFields.get(name);
      if (!feature) throw unknownFieldError("feature", name, where, [...this.#userFields.keys()]);
      const value = features[name];
      if (value === undefined || value === null) continue;
      const field = () => `${where}.${name}`;
      if (feature.kind === "number") {
        if (typeof value !== "number" || !Number.isFinite(Math.fround(value))) {
          throw requestError(field(), "a finite number that float32 can hold", value);
        }
        table.setNumber(feature.index, value);
      } else {
        table.setToken(feature.index, this.#lookUp(feature.vocabulary, value, field, unknown));
      }
    }
  }

  #addClick(table: UserTable, click: unknown, where: () => string, unknown: UnknownValue[]): void {
    const [itemField] = this.#itemFields;
    const item = itemField!.name;
    if (typeof click === "string") {
      const id = this.#lookUpItem(click, where, unknown);
      for (let f = 0; f < this.#itemFields.length; f++) table.addKnownValues(f, id);
      table.endClick();
      return;
    }
    const fields = expectFields(click, where(), `an item or an object with ${this.#clickFields.join(", ")}`);
    for (const name of Object.keys(fields)) {
      if (!this.#clickFields.includes(name)) throw unknownFieldError("field", name, where(), this.#clickFields);
    }
    if (this.#time !== undefined) this.#checkTime(fields[this.#time], () => `${where()}.${this.#time}`);
    const id = this.#lookUpItem(fields[item], () => `${where()}.${item}`, unknown);
    table.addKnownValues(0, id);
    for (let f = 1; f < this.#itemFields.length; f++) {
      const { name, multiple, vocabulary } = this.#itemFields[f]!;
      const [value, field] = [fields[name], () => `${where()}.${name}`];
      if (value === undefined) table.addKnownValues(f, id);
      else if (!multiple) table.addValue(f, value === null ? 0 : this.#lookUp(vocabulary, value, field, unknown));
      else this.#addValues(table, f, value, field, unknown);
    }
    table.endClick();
  }

  /** Adds the values of a multi-valued field. No value at all is one missing value, as in a log. */
  #addValues(table: UserTable, feature: number, value: unknown, field: () => string, unknown: UnknownValue[]): void {
    const { vocabulary } = this.#itemFields[feature]!;
    const values = value === null ? [] : expectArray(value, field(), "strings");
    for (let i = 0; i < values.length; i++) {
      const at = () => `${field()}[${i}]`;
      table.addValue(feature, values[i] === null ? 0 : this.#lookUp(vocabulary, values[i], at, unknown));
    }
    if (values.length === 0) table.addValue(feature, 0);
  }

  #checkTime(value: unknown, field: () => string): void {
    if (value === undefined || value === null || (typeof value === "number" && Number.isFinite(value))) return;
    throw requestError(field(), "a finite number", value);
  }

  #lookUpItem(value: unknown, field: () => string, unknown: UnknownValue[]): number {
    const item = expectText(value, field, "the token of an item");
    if (item === "") throw requestError(field(), "the token of an item", item);
    const id = this.#missing.has(item) ? 0 : itemVocabulary(this.#description).idOf(item);
    if (id === 0) unknown.push({ field: field(), value: item });
    return id;
  }

  /** The id of a value; 0 if it is missing or, which is reported, unknown. */
  #lookUp(vocabulary: Vocabulary, value: unknown, field: () => string, unknown: UnknownValue[]): number {
    const text = expectText(value, field);
    if (this.#missing.has(text)) return 0;
    const id = vocabulary.idOf(text);
    if (id === 0) unknown.push({ field: field(), value: text });
    return id;
  }
}

/** Collects users as ids. */
class UserTable {
  readonly #encoding: Encoding;
  readonly #catalogue: ModelDescription["catalogue"];
  readonly #names: { readonly users: readonly string[]; readonly numbers: readonly string[] };
  readonly #tokens: readonly number[][];
  readonly #numbers: readonly number[][];
  readonly #items: readonly { readonly name: string; readonly ids: IntList; readonly offsets: IntList | undefined }[];
  readonly #clickOffsets: number[] = [0];
  #clicks = 0;

  constructor(description: ModelDescription, itemFields: readonly ItemField[]) {
    const named = (wanted: string) =>
      userFeatures(description.schema).flatMap(({ name, kind }) => (kind === wanted ? [name] : []));
    this.#encoding = description;
    this.#catalogue = description.catalogue;
    this.#names = { users: named("categorical"), numbers: named("number") };
    this.#tokens = this.#names.users.map(() => []);
    this.#numbers = this.#names.numbers.map(() => []);
    this.#items = itemFields.map(({ name, multiple }) => {
      const offsets = multiple ? new IntList(FIRST_CLICKS) : undefined;
      offsets?.push(0);
      return { name, ids: new IntList(FIRST_CLICKS), offsets };
    });
  }

  startUser(): void {
    for (const ids of this.#tokens) ids.push(0);
    for (const values of this.#numbers) values.push(Number.NaN);
  }

  endUser(): void {
    this.#clickOffsets.push(this.#clicks);
  }

  setToken(feature: number, id: number): void {
    const ids = this.#tokens[feature]!;
    ids[ids.length - 1] = id;
  }

  setNumber(feature: number, value: number): void {
    const values = this.#numbers[feature]!;
    values[values.length - 1] = value;
  }

  addValue(feature: number, id: number): void {
    this.#items[feature]!.ids.push(id);
  }

  /** Adds the item itself (feature 0), or the attribute that the item had in the training log. */
  addKnownValues(feature: number, item: number): void {
    const { ids } = this.#items[feature]!;
    const known = this.#catalogue?.[feature - 1];
    if (feature === 0 || !known) {
      ids.push(feature === 0 ? item : 0);
      return;
    }
    const start = known.offsets ? known.offsets[item]! : item;
    const end = known.offsets ? known.offsets[item + 1]! : item + 1;
    for (let i = start; i < end; i++) ids.push(known.ids[i]!);
    if (start === end) ids.push(0);
  }

  endClick(): void {
    this.#clicks++;
    for (const { ids, offsets } of this.#items) offsets?.push(ids.length);
  }

  /** Returns what was added. The table cannot be used again. */
  take(): Clicks {
    const { schema, numbers } = this.#encoding;
    const users = this.#clickOffsets.length - 1;
    const none = Number.NaN;
    return {
      users,
      clicks: this.#clicks,
      clickOffsets: Int32Array.from(this.#clickOffsets),
      userFeatures: this.#names.users.map((name, f) => ({ name, ids: Int32Array.from(this.#tokens[f]!) })),
      numbers: this.#names.numbers.map((name, f) => ({
        name,
        values: Float32Array.from(this.#numbers[f]!),
        ...numbers.get(name)!,
      })),
      itemFeatures: this.#items.map(({ name, ids, offsets }) => ({ name, ids: ids.take(), offsets: offsets?.take() })),
      // Shortlists are for now, so the times of the clicks are not read.
      ...(timeField(schema) >= 0 && {
        times: { values: new Float64Array(this.#clicks).fill(none), earliest: none, latest: none, farOff: 0 },
      }),
    };
  }
}

const FIRST_CLICKS = 64;
