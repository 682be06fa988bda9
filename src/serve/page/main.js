import { Api } from "./api.js";
import { byId, counted, element } from "./dom.js";
import { FeatureForm } from "./features.js";
import { HistoryList } from "./history.js";
import { ItemDialog } from "./item.js";
import { movesBetween } from "./moves.js";
import { parseHistory } from "./paste.js";
import { setUpSearch } from "./search.js";
import { failurePanel, showShortlists } from "./shortlist.js";

/**
 * @typedef {import("./api.js").Item} Item
 * @typedef {import("./api.js").ModelInfo} ModelInfo
 * @typedef {import("./history.js").HistoryClick} HistoryClick
 * @typedef {import("./shortlist.js").List} List
 */

/** Screens on which page.css has one column. */
const NARROW = "(max-width: 800px)";

/** The page: the user that is asked for, the models that are shown, and what happens when either changes. */
class Page {
  #api = new Api(askToken);
  #features = new FeatureForm(() => this.#change());
  #history = new HistoryList({
    open: (item) => this.#dialog.open(item),
    move: (key, by) => this.#move(key, by),
    remove: (key) => this.#remove(key),
    compareWithout: (key) => this.#compareWithout(this.#without === key ? undefined : key),
  });
  #dialog = new ItemDialog(
    this.#api,
    () => this.#shown,
    (item) => this.#add(item),
  );
  /** @type {readonly ModelInfo[]} */
  #models = [];
  /** The one or two models that are shown. @type {readonly ModelInfo[]} */
  #shown = [];
  /** @type {readonly HistoryClick[]} */
  #clicks = [];
  #lastKey = 0;
  /** The key of the click whose removal is shown. @type {number | undefined} */
  #without;
  #asked = new AbortController();

  constructor() {
    setUpSearch({
      find: async (text, signal) => {
        const [model] = this.#shown;
        return model ? (await this.#api.find(text, model.name, signal)).items : [];
      },
      choose: (item) => this.#add(item),
      paste: (text) => this.#paste(text),
    });
    byId("choices", HTMLFormElement).addEventListener("change", () => this.#choose());
    byId("choices", HTMLFormElement).addEventListener("submit", (event) => event.preventDefault());
    byId("clear", HTMLButtonElement).addEventListener("click", () => {
      this.#setClicks([]);
      byId("search", HTMLInputElement).focus();
    });
    const text = byId("paste-text", HTMLTextAreaElement);
    byId("paste", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#paste(text.value);
    });
    text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#paste(text.value);
    });
  }

  /** Asks the service for its models, and shows the list of a user without clicks. */
  async start() {
    const status = byId("status", HTMLElement);
    try {
      ({ models: this.#models } = await this.#api.models());
    } catch (error) {
      status.textContent = "";
      const panel = failurePanel(/** @type {Error} */ (error), () => void this.start());
      byId("lists", HTMLElement).replaceChildren(panel);
      return;
    }
    const options = () => this.#models.map(({ name }) => element("option", { value: name }, name));
    byId("first-model", HTMLSelectElement).replaceChildren(...options());
    const second = byId("second-model", HTMLSelectElement);
    second.replaceChildren(element("option", { value: "" }, "none"), ...options());
    // On a narrow screen, two lists stand one below the other, which is no comparison.
    second.value = matchMedia(NARROW).matches ? "" : (this.#models[1]?.name ?? "");
    for (const label of document.querySelectorAll(".of-several")) {
      /** @type {HTMLElement} */ (label).hidden = this.#models.length < 2;
    }
    this.#choose();
  }

  /** Reads which models are shown. */
  #choose() {
    const chosen = ["first-model", "second-model"].map((id) => byId(id, HTMLSelectElement).value);
    this.#shown = [...new Set(chosen)].flatMap((name) => this.#models.filter((model) => model.name === name));
    this.#features.show(this.#shown);
    this.#change();
  }

  /** @param {Item} item */
  #add({ item, title }) {
    this.#setClicks([...this.#clicks, { key: ++this.#lastKey, item, ...(title !== undefined && { title }) }]);
  }

  /** @param {string} text */
  #paste(text) {
    const [model] = this.#shown;
    if (!model) return;
    const problem = byId("paste-error", HTMLElement);
    problem.hidden = true;
    try {
      const { clicks, features } = parseHistory(text, model);
      if (features) {
        this.#features.fill(features);
        this.#features.reveal();
      }
      this.#setClicks(clicks.map((click) => ({ key: ++this.#lastKey, ...click })));
    } catch (error) {
      problem.textContent = /** @type {Error} */ (error).message;
      problem.hidden = false;
      problem.closest("details")?.setAttribute("open", "");
    }
  }

  /**
   * @param {number} key
   * @param {number} by
   */
  #move(key, by) {
    const clicks = [...this.#clicks];
    const from = clicks.findIndex((click) => click.key === key);
    const [moved] = clicks.splice(from, 1);
    if (!moved || from + by < 0 || from + by > clicks.length) return;
    clicks.splice(from + by, 0, moved);
    this.#setClicks(clicks);
  }

  /** @param {number} key */
  #remove(key) {
    this.#setClicks(this.#clicks.filter((click) => click.key !== key));
  }

  /** @param {readonly HistoryClick[]} clicks */
  #setClicks(clicks) {
    this.#clicks = clicks;
    this.#without = undefined;
    this.#change();
  }

  /** @param {number | undefined} key */
  #compareWithout(key) {
    this.#without = key;
    this.#change();
  }

  /** Shows the history, and asks the models again. An answer that is still awaited is given up. */
  #change() {
    this.#history.show(this.#clicks, this.#without);
    this.#asked.abort();
    this.#asked = new AbortController();
    void this.#ask(this.#asked.signal);
  }

  /** @param {AbortSignal} signal */
  async #ask(signal) {
    const results = byId("lists", HTMLElement);
    results.setAttribute("aria-busy", "true");
    const lists = await Promise.all(this.#shown.map((model) => this.#listOf(model, signal)));
    if (signal.aborted) return;
    results.setAttribute("aria-busy", "false");
    showShortlists(lists, {
      open: (item) => this.#dialog.open(item),
      add: (item) => this.#add(item),
      retry: () => this.#change(),
    });
    this.#showWithout(lists);
    this.#showStatus(lists);
    const [first] = lists;
    if (first?.answer) this.#nameClicks(first.details);
  }

  /**
   * @param {ModelInfo} model
   * @param {AbortSignal} signal
   * @returns {Promise<List>}
   */
  async #listOf(model, signal) {
    const started = performance.now();
    const kept = this.#clicks.filter(({ key }) => key !== this.#without);
    try {
      const [answer, before] = await Promise.all([
        this.#api.shortlist(this.#request(model, kept), signal),
        this.#without === undefined ? undefined : this.#api.shortlist(this.#request(model, this.#clicks), signal),
      ]);
      const ms = Math.max(1, Math.round(performance.now() - started));
      const items = [...answer.items, ...this.#clicks].map(({ item }) => item);
      const details = await this.#api.details(answer.model, items);
      return { model, answer, ...(before && { before }), ms, details };
    } catch (error) {
      return { model, error: /** @type {Error} */ (error), ms: 0, details: new Map() };
    }
  }

  /**
   * @param {ModelInfo} model
   * @param {readonly HistoryClick[]} clicks
   */
  #request(model, clicks) {
    const [itemField, ...fields] = model.click.map(({ name }) => name);
    const history = clicks.map(({ item, attributes }) => {
      if (!attributes) return item;
      // The click may come from the log of another model, whose clicks have other fields.
      const own = Object.entries(attributes).filter(([name]) => fields.includes(name));
      return { [/** @type {string} */ (itemField)]: item, ...Object.fromEntries(own) };
    });
    const top = Number(byId("top", HTMLSelectElement).value);
    return { model: model.name, features: this.#features.valuesFor(model), history, top, explain: true };
  }

  /**
   * Gives the clicks their titles, and marks those on items that the model does not know.
   *
   * @param {ReadonlyMap<string, Item>} details
   */
  #nameClicks(details) {
    this.#clicks = this.#clicks.map(({ title: _, isUnknown: __, ...click }) => {
      const known = details.get(click.item);
      if (!known) return { ...click, isUnknown: true };
      return known.title === undefined ? click : { ...click, title: known.title };
    });
    this.#history.show(this.#clicks, this.#without);
  }

  /** @param {readonly List[]} lists */
  #showWithout(lists) {
    const box = byId("without", HTMLElement);
    const click = this.#clicks.find(({ key }) => key === this.#without);
    box.hidden = click === undefined;
    if (!click) return box.replaceChildren();
    const changes = lists.flatMap(({ model, answer, before }) => {
      if (!answer || !before) return [];
      const { entered, gone, moved } = movesBetween(before.items, answer.items);
      const text = `${entered} new, ${gone.length} gone, ${moved} moved`;
      return [lists.length > 1 ? `${model.name}: ${text}` : text];
    });
    const name = lists[0]?.details.get(click.item)?.title ?? click.item;
    box.replaceChildren(
      element("p", { role: "status" }, "Without ", element("strong", {}, name), `: ${changes.join("; ")}.`),
      element("button", { type: "button", click: () => this.#remove(click.key) }, "Remove it"),
      element("button", { type: "button", class: "plain", click: () => this.#compareWithout(undefined) }, "Keep it"),
    );
  }

  /** @param {readonly List[]} lists */
  #showStatus(lists) {
    const [first] = lists;
    const from = this.#clicks.length === 0 ? "no clicks" : counted(this.#clicks.length, "click");
    byId("status", HTMLElement).textContent = first?.answer
      ? `${counted(first.answer.items.length, "item")}${lists.length > 1 ? " of each model" : ""} for a user with ${from}`
      : "";
  }
}

/**
 * Shows the dialog that asks for the token of the service. Rejects if it is closed without one.
 *
 * @param {string} message
 * @returns {Promise<string>}
 */
function askToken(message) {
  const dialog = byId("access", HTMLDialogElement);
  const input = byId("token", HTMLInputElement);
  byId("access-message", HTMLElement).textContent = message;
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  input.focus();
  return new Promise((resolve, reject) => {
    dialog.addEventListener(
      "close",
      () => {
        const token = input.value.trim();
        input.value = "";
        // Escape closes the dialog with an empty return value.
        if (dialog.returnValue === "use" && token !== "") resolve(token);
        else reject(new Error(message));
      },
      { once: true },
    );
  });
}

await new Page().start();
