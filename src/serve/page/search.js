import { byId, counted, debounced, element } from "./dom.js";

/** @typedef {import("./api.js").Item} Item */

const WAIT_MS = 120;

/**
 * The field that searches items: a combobox with the keys of the ARIA pattern.
 *
 * @param {{
 *   readonly find: (text: string, signal: AbortSignal) => Promise<readonly Item[]>,
 *   readonly choose: (item: Item) => void,
 *   readonly paste: (text: string) => void,
 * }} actions `paste` takes a pasted text of several lines or columns.
 */
export function setUpSearch({ find, choose, paste }) {
  const input = byId("search", HTMLInputElement);
  const list = byId("found", HTMLElement);
  const status = byId("search-status", HTMLElement);
  /** @type {readonly Item[]} */
  let found = [];
  /** The text that `found` answers. */
  let answered = "";
  let active = -1;
  let asked = new AbortController();
  /** Whether the first item is chosen as soon as it is found, because Enter was pressed before. */
  let chooseFirst = false;

  function close() {
    asked.abort();
    chooseFirst = false;
    [found, answered, active] = [[], "", -1];
    list.replaceChildren();
    list.hidden = true;
    status.textContent = "";
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  /** @param {number} index */
  function activate(index) {
    active = index;
    for (const [i, option] of [...list.children].entries()) option.setAttribute("aria-selected", String(i === active));
    input.setAttribute("aria-activedescendant", `found-${active}`);
    list.children[active]?.scrollIntoView({ block: "nearest" });
  }

  /** @param {Item} item */
  function take(item) {
    input.value = "";
    close();
    choose(item);
    status.textContent = `Added ${item.title ?? item.item}`;
  }

  async function ask() {
    const text = input.value.trim();
    asked.abort();
    if (text === "") return close();
    const own = new AbortController();
    asked = own;
    try {
      const items = await find(text, own.signal);
      if (!own.signal.aborted) show(text, items);
    } catch (error) {
      if (own.signal.aborted) return;
      close();
      status.textContent = /** @type {Error} */ (error).message;
    }
  }

  /**
   * @param {string} text
   * @param {readonly Item[]} items
   */
  function show(text, items) {
    const [first] = items;
    if (chooseFirst && first) return take(first);
    chooseFirst = false;
    [found, answered, active] = [items, text, -1];
    list.replaceChildren(
      ...items.map((item, i) =>
        element(
          "div",
          {
            id: `found-${i}`,
            role: "option",
            "aria-selected": "false",
            // The field keeps the focus.
            pointerdown: (/** @type {Event} */ event) => event.preventDefault(),
            click: () => take(item),
          },
          element("span", {}, item.title ?? item.item),
          item.title === undefined ? undefined : element("span", { class: "token" }, item.item),
        ),
      ),
    );
    list.hidden = items.length === 0;
    input.setAttribute("aria-expanded", String(items.length > 0));
    input.removeAttribute("aria-activedescendant");
    status.textContent = items.length === 0 ? "No item found" : `${counted(items.length, "item")} found`;
  }

  function enter() {
    const item = found[Math.max(0, active)];
    if (item && answered === input.value.trim()) take(item);
    else if (input.value.trim() !== "") chooseFirst = true;
  }

  const askSoon = debounced(WAIT_MS, ask);
  input.addEventListener("input", () => {
    chooseFirst = false;
    askSoon();
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // these keys belong to the input method
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && found.length > 0) {
      activate(active < 0 && step < 0 ? found.length - 1 : (active + step + found.length) % found.length);
    } else if (event.key === "Enter") enter();
    else if (event.key === "Escape" && !list.hidden) close();
    else if (event.key === "Escape") input.value = "";
    else return;
    event.preventDefault();
  });
  input.addEventListener("blur", close);
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text") ?? "";
    if (!/[\n\t]/.test(text.trim())) return;
    event.preventDefault();
    paste(text);
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select, dialog");
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
    event.preventDefault();
    input.focus();
  });
}
