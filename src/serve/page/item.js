import { byId, counted, element } from "./dom.js";

/**
 * @typedef {import("./api.js").Api} Api
 * @typedef {import("./api.js").Item} Item
 * @typedef {import("./api.js").ModelInfo} ModelInfo
 */

const NEIGHBOURS = 12;

/** The dialog with an item's attributes and its neighbours, each of which opens in its turn. */
export class ItemDialog {
  #dialog = byId("item", HTMLDialogElement);
  #title = byId("item-title", HTMLElement);
  #back = byId("item-back", HTMLButtonElement);
  #status = byId("item-status", HTMLElement);
  #api;
  #models;
  /** The items that were opened one from the other. @type {string[]} */
  #path = [];
  /** Number of items shown so far; answers for an earlier one come too late. */
  #shown = 0;

  /**
   * @param {Api} api
   * @param {() => readonly ModelInfo[]} models The models that are shown.
   * @param {(item: Item) => void} add
   */
  constructor(api, models, add) {
    this.#api = api;
    this.#models = models;
    byId("item-close", HTMLButtonElement).addEventListener("click", () => this.#dialog.close());
    this.#back.addEventListener("click", () => {
      this.#path.pop();
      void this.#show();
    });
    byId("item-add", HTMLButtonElement).addEventListener("click", () => {
      const item = /** @type {string} */ (this.#path.at(-1));
      this.#dialog.close();
      add({ item, id: 0 });
    });
    // A click beside the dialog is one on its backdrop.
    this.#dialog.addEventListener("click", ({ target }) => {
      if (target === this.#dialog) this.#dialog.close();
    });
  }

  /** @param {string} item */
  open(item) {
    this.#path = [item];
    if (!this.#dialog.open) this.#dialog.showModal();
    void this.#show();
  }

  async #show() {
    const shown = ++this.#shown;
    const item = /** @type {string} */ (this.#path.at(-1));
    const models = this.#models();
    this.#back.hidden = this.#path.length < 2;
    this.#describe({ item, id: 0 });
    this.#status.textContent = "Looking for neighbours …";
    byId("item-neighbours", HTMLElement).replaceChildren();
    this.#title.focus();
    try {
      const [first] = /** @type {[ModelInfo]} */ (models);
      const [details, ...lists] = await Promise.all([
        this.#api.details(first, [item]),
        ...models.map(({ name }) => this.#api.similar(item, name, NEIGHBOURS)),
      ]);
      if (shown !== this.#shown) return;
      const known = details.get(item);
      if (known) this.#describe(known);
      this.#status.textContent = lists.some(({ known }) => known)
        ? "Items that the same users may want, by the cosine of their output weights."
        : "The model does not know this item.";
      const columns = lists.map(({ similar }, m) =>
        this.#neighbours(similar, models.length > 1 ? models[m] : undefined),
      );
      byId("item-neighbours", HTMLElement).replaceChildren(...columns);
    } catch (error) {
      if (shown === this.#shown) this.#status.textContent = /** @type {Error} */ (error).message;
    }
  }

  /** @param {Item} item */
  #describe({ item, title, attributes = {} }) {
    this.#title.textContent = title ?? item;
    byId("item-token", HTMLElement).textContent = title === undefined ? "" : item;
    const rows = Object.entries(attributes).map(([name, value]) => {
      const text = (Array.isArray(value) ? value.join(", ") : value) || "—";
      return element("div", {}, element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, String(text)));
    });
    byId("item-attributes", HTMLElement).replaceChildren(...rows);
  }

  /**
   * @param {readonly (Item & { readonly similarity: number })[]} similar
   * @param {ModelInfo | undefined} model The model, if several are shown.
   */
  #neighbours(similar, model) {
    const label = model ? `Neighbours by ${model.name}` : counted(similar.length, "neighbour");
    const rows = similar.map(({ item, title, similarity }) =>
      element(
        "li",
        {},
        element(
          "button",
          { type: "button", class: "title", click: () => this.#go(item) },
          element("span", {}, title ?? item),
          element("span", { class: "number" }, similarity.toFixed(2)),
        ),
      ),
    );
    const heading = model ? element("h4", {}, model.name) : undefined;
    return element("div", {}, heading, element("ol", { class: "neighbours", "aria-label": label }, ...rows));
  }

  /** @param {string} item */
  #go(item) {
    this.#path.push(item);
    void this.#show();
  }
}
