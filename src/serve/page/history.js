import { byId, counted, element } from "./dom.js";

/**
 * @typedef {import("./paste.js").Click & { readonly key: number, readonly title?: string, readonly isUnknown?: boolean }}
 *   HistoryClick A click of the history; its key distinguishes it from others on the same item.
 */

/** The user's clicks, oldest first, with what can be done to each. */
export class HistoryList {
  #list = byId("history", HTMLOListElement);
  #count = byId("history-count", HTMLElement);
  #actions;

  /**
   * @param {{
   *   readonly open: (item: string) => void,
   *   readonly move: (key: number, by: number) => void,
   *   readonly remove: (key: number) => void,
   *   readonly compareWithout: (key: number) => void,
   * }} actions
   */
  constructor(actions) {
    this.#actions = actions;
    this.#list.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /**
   * Shows the clicks. The focus stays on the same button of the same click, or of its neighbour if it is gone.
   *
   * @param {readonly HistoryClick[]} clicks
   * @param {number | undefined} without The key of the click whose removal is shown.
   */
  show(clicks, without) {
    const focused = this.#focusedButton();
    this.#list.replaceChildren(...clicks.map((click, i) => this.#row(click, i, clicks.length, without)));
    this.#count.textContent = clicks.length === 0 ? "" : counted(clicks.length, "click");
    for (const id of ["clear", "history-keys"]) byId(id, HTMLElement).hidden = clicks.length === 0;
    byId("history-empty", HTMLElement).hidden = clicks.length > 0;
    if (focused) this.#focus(focused);
  }

  /**
   * @param {HistoryClick} click
   * @param {number} position
   * @param {number} count
   * @param {number | undefined} without
   */
  #row({ key, item, title, isUnknown }, position, count, without) {
    const name = title ?? item;
    const { open, move, remove, compareWithout } = this.#actions;
    const isWithout = key === without;
    return element(
      "li",
      { "data-key": key, class: isWithout ? "is-without" : undefined },
      element("span", { class: "rank" }, String(position + 1)),
      element(
        "div",
        { class: "body" },
        element("button", { type: "button", class: "title", "data-action": "open", click: () => open(item) }, name),
        title === undefined ? undefined : element("span", { class: "token" }, item),
        isUnknown ? element("span", { class: "badge warn" }, "unknown to the model") : undefined,
      ),
      button("up", "↑", `Move ${name} up`, position === 0, () => move(key, -1)),
      button("down", "↓", `Move ${name} down`, position === count - 1, () => move(key, 1)),
      button("without", "⊘", `What removing ${name} changes`, false, () => compareWithout(key), isWithout),
      button("remove", "✕", `Remove ${name}`, false, () => remove(key)),
    );
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const row = event.target instanceof Element ? event.target.closest("li") : null;
    if (!row) return;
    const key = Number(row.dataset["key"]);
    const step = event.altKey ? { ArrowUp: -1, ArrowDown: 1 }[event.key] : undefined;
    if (step !== undefined) this.#actions.move(key, step);
    else if (event.key === "Delete") this.#actions.remove(key);
    else return;
    event.preventDefault();
  }

  #focusedButton() {
    const row = document.activeElement?.closest("#history li");
    if (!(row instanceof HTMLElement) || !(document.activeElement instanceof HTMLElement)) return undefined;
    const index = [...this.#list.children].indexOf(row);
    return { key: row.dataset["key"], index, action: document.activeElement.dataset["action"] ?? "open" };
  }

  /** @param {{ readonly key: string | undefined, readonly index: number, readonly action: string }} focused */
  #focus({ key, index, action }) {
    const rows = /** @type {HTMLElement[]} */ ([...this.#list.children]);
    const row = rows.find(({ dataset }) => dataset["key"] === key) ?? rows[Math.min(index, rows.length - 1)];
    if (!row) return byId("search", HTMLInputElement).focus();
    // At the ends of the list, a button to move is disabled.
    const [wanted, other] = [`[data-action="${action}"]:enabled`, '[data-action="open"]'];
    /** @type {HTMLElement | null} */ (row.querySelector(wanted) ?? row.querySelector(other))?.focus();
  }
}

/**
 * @param {string} action
 * @param {string} sign
 * @param {string} label
 * @param {boolean} disabled
 * @param {() => void} click
 * @param {boolean} [pressed] For a button that is switched on and off.
 */
function button(action, sign, label, disabled, click, pressed) {
  const attributes = { type: "button", class: "sign", "data-action": action, "aria-label": label, title: label };
  return element("button", { ...attributes, disabled, click, "aria-pressed": pressed?.toString() }, sign);
}
