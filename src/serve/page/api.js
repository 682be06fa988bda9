/**
 * @typedef {{ readonly name: string, readonly id: string | null }} ModelName
 * @typedef {{ readonly name: string, readonly kind: string, readonly multiple?: boolean }} Column
 * @typedef {{ readonly name: string, readonly multiple?: boolean, readonly kind?: string }} ClickField
 * @typedef {ModelName & {
 *   readonly items: number,
 *   readonly features: readonly Column[],
 *   readonly columns: readonly Column[],
 *   readonly click: readonly ClickField[],
 * }} ModelInfo A model, and what requests to it may have.
 * @typedef {Readonly<Record<string, string | readonly string[] | null>>} Attributes
 * @typedef {{ readonly item: string, readonly id: number, readonly title?: string, readonly attributes?: Attributes }} Item
 * @typedef {{ readonly item: string, readonly position: number, readonly effect: number, readonly similarity: number }} Cause
 * @typedef {Item & { readonly score: number, readonly probability?: number, readonly because?: readonly Cause[] }} Scored
 * @typedef {{ readonly field: string, readonly value: string }} Unknown
 * @typedef {{
 *   readonly model: ModelName,
 *   readonly items: readonly Scored[],
 *   readonly known: boolean,
 *   readonly unknown: readonly Unknown[],
 * }} Shortlist
 */

const TOKEN_KEY = "shortlist-token";

/** An error that the service answered, or that it does not answer. */
export class ServiceError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Asks the service. When it wants a token, the user is asked for one, and the request is sent again. */
export class Api {
  #askToken;
  /** @type {Promise<string> | undefined} */
  #asking;
  /** Details of items by model and item. @type {Map<string, Promise<Item>>} */
  #details = new Map();

  /** @param {(message: string) => Promise<string>} askToken */
  constructor(askToken) {
    this.#askToken = askToken;
  }

  /** @returns {Promise<{ readonly models: readonly ModelInfo[] }>} */
  models() {
    return this.#send("/v1/models");
  }

  /**
   * @param {string} query
   * @param {string} model
   * @param {AbortSignal} signal
   * @returns {Promise<{ readonly items: readonly Item[] }>}
   */
  find(query, model, signal) {
    return this.#send(`/v1/items?${new URLSearchParams({ query, model })}`, { signal });
  }

  /**
   * @param {object} body
   * @param {AbortSignal} signal
   * @returns {Promise<Shortlist>}
   */
  shortlist(body, signal) {
    return this.#send("/v1/shortlists", { signal, body });
  }

  /**
   * @param {string} item
   * @param {string} model
   * @param {number} top
   * @returns {Promise<{ readonly known: boolean, readonly similar: readonly (Item & { readonly similarity: number })[] }>}
   */
  similar(item, model, top) {
    return this.#send(`/v1/items/${encodeURIComponent(item)}/similar?${new URLSearchParams({ top: `${top}`, model })}`);
  }

  /**
   * Returns the titles and attributes of the items that a model knows. What was asked before is not asked again.
   *
   * @param {ModelName} model
   * @param {readonly string[]} items
   * @returns {Promise<Map<string, Item>>}
   */
  async details(model, items) {
    const keyOf = (/** @type {string} */ item) => JSON.stringify([model.name, model.id, item]);
    const missing = [...new Set(items)].filter((item) => !this.#details.has(keyOf(item)));
    if (missing.length > 0) {
      const body = { items: missing, model: model.name };
      const answer = /** @type {Promise<{ readonly items: readonly Item[] }>} */ (
        this.#send("/v1/items/lookup", { body })
      ).then(({ items }) => new Map(items.map((found) => [found.item, found])));
      for (const item of missing) {
        const own = answer.then((found) => found.get(item) ?? { item, id: 0 });
        own.catch(() => this.#details.delete(keyOf(item)));
        this.#details.set(keyOf(item), own);
      }
    }
    const known = await Promise.all(items.map((item) => this.#details.get(keyOf(item))));
    return new Map(known.flatMap((found) => (found && found.id > 0 ? [[found.item, found]] : [])));
  }

  /**
   * @param {string} url
   * @param {{ readonly body?: object, readonly signal?: AbortSignal }} [request]
   * @returns {Promise<any>}
   */
  async #send(url, { body, signal } = {}) {
    for (;;) {
      const token = sessionStorage.getItem(TOKEN_KEY);
      /** @type {Record<string, string>} */
      const headers = token === null ? {} : { authorization: `Bearer ${token}` };
      if (body) headers["content-type"] = "application/json";
      const content = body && { method: "POST", body: JSON.stringify(body) };
      const response = await fetch(url, { headers, ...content, ...(signal && { signal }) }).catch((error) => {
        if (signal?.aborted) throw error;
        throw new ServiceError(0, "", "The service does not answer");
      });
      const answer = await response.json().catch(() => undefined);
      if (response.ok && answer !== undefined) return answer;
      const { code = "", message = `The service answered ${response.status}` } = answer?.error ?? {};
      if (response.status !== 401) throw new ServiceError(response.status, code, message);
      // Another request may have asked for the token meanwhile.
      if (sessionStorage.getItem(TOKEN_KEY) !== token) continue;
      await this.#newToken(message);
    }
  }

  /** @param {string} message */
  async #newToken(message) {
    this.#asking ??= this.#askToken(message).finally(() => {
      this.#asking = undefined;
    });
    sessionStorage.setItem(TOKEN_KEY, await this.#asking);
  }
}
