import { byId, counted, element } from "./dom.js";
import { movesBetween } from "./moves.js";

/**
 * @typedef {import("./api.js").Attributes} Attributes
 * @typedef {import("./api.js").Item} Item
 * @typedef {import("./api.js").ModelInfo} ModelInfo
 * @typedef {import("./api.js").Scored} Scored
 * @typedef {import("./api.js").Shortlist} Shortlist
 * @typedef {{
 *   readonly model: ModelInfo,
 *   readonly answer?: Shortlist,
 *   readonly before?: Shortlist,
 *   readonly error?: Error,
 *   readonly ms: number,
 *   readonly details: ReadonlyMap<string, Item>,
 * }} List The answer of a model, and the one before a click was left out, if it is; or why there is none.
 * @typedef {{
 *   readonly open: (item: string) => void,
 *   readonly add: (item: Item) => void,
 *   readonly retry: () => void,
 * }} Actions
 */

/**
 * Shows the shortlists of one or two models.
 *
 * @param {readonly List[]} lists
 * @param {Actions} actions
 */
export function showShortlists(lists, actions) {
  const columns = lists.map((list, i) => {
    const other = lists.length === 2 ? lists[1 - i] : undefined;
    return column(list, other, actions);
  });
  byId("lists", HTMLElement).replaceChildren(...columns);
}

/**
 * @param {List} list
 * @param {List | undefined} other
 * @param {Actions} actions
 */
function column(list, other, actions) {
  const { model, answer, before, error, ms, details } = list;
  const id = answer?.model.id ?? model.id;
  const facts = [counted(model.items, "item"), id === null ? "" : `id ${id.slice(0, 8)}`, answer ? `${ms} ms` : ""];
  const head = element(
    "div",
    { class: "panel-head" },
    element("h3", {}, model.name),
    element("span", { class: "quiet" }, facts.filter(Boolean).join(" · ")),
  );
  const attributes = { class: "panel", "aria-label": `Shortlist of ${model.name}`, "data-model": model.name };
  if (!answer) return element("section", attributes, head, failurePanel(error, actions.retry));
  const moves = before && movesBetween(before.items, answer.items);
  const ranksOfOther = other?.answer && new Map(other.answer.items.map(({ item }, i) => [item, i + 1]));
  const best = Math.max(...answer.items.map(({ score }) => score));
  const rows = answer.items.map((item, i) => {
    const badge = moves ? moveBadge(moves.from.get(item.item), i + 1) : otherBadge(ranksOfOther, item.item, other);
    return row(item, i + 1, best, badge, details, actions);
  });
  return element(
    "section",
    attributes,
    head,
    notice(answer),
    element("ol", { class: "items" }, ...rows),
    moves && moves.gone.length > 0 ? gone(moves.gone) : undefined,
  );
}

/**
 * What is shown in place of an answer: the error as the service gave it.
 *
 * @param {Error | undefined} error
 * @param {() => void} retry
 */
export function failurePanel(error, retry) {
  const code = /** @type {{ readonly code?: string }} */ (error)?.code;
  const text = `${error?.message ?? "No answer"}${code ? ` (${code})` : ""}`;
  const again = element("button", { type: "button", click: retry }, "Try again");
  return element("div", { class: "failure" }, element("p", { class: "error", role: "alert" }, text), again);
}

/** @param {Shortlist} answer */
function notice({ items, unknown }) {
  const parts = [];
  if (unknown.length > 0) {
    const shown = unknown.slice(0, 5).map(({ field, value }) => `${field} "${value}"`);
    const rest = unknown.length > 5 ? `, and ${unknown.length - 5} more` : "";
    parts.push(`The model does not know ${shown.join(", ")}${rest}.`);
  }
  if (items.length === 0) parts.push("There is no item left to recommend.");
  return parts.length > 0 ? element("p", { class: "quiet unknown" }, parts.join(" ")) : undefined;
}

/**
 * @param {Scored} item
 * @param {number} rank
 * @param {number} best The highest score of the list.
 * @param {HTMLElement | undefined} badge
 * @param {ReadonlyMap<string, Item>} details
 * @param {Actions} actions
 */
function row(item, rank, best, badge, details, { open, add }) {
  const { item: token, title, score, probability, because = [] } = item;
  const name = title ?? token;
  const body = element(
    "div",
    { class: "body" },
    element("button", { type: "button", class: "title", click: () => open(token) }, name),
    title === undefined ? undefined : element("span", { class: "token" }, token),
    badge,
  );
  const attributeList = chips(details.get(token)?.attributes);
  const why = because.length > 0 ? causes(because, details) : undefined;
  const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("span"));
  const filled = /** @type {HTMLElement} */ (bar.firstElementChild);
  filled.style.width = `${100 * Math.exp(score - best)}%`; // its probability, relative to that of the best item
  const value = element(
    "div",
    { class: "value" },
    probability === undefined ? undefined : element("span", { class: "number" }, percent(probability)),
    element("span", { class: "score quiet", title: `Score ${score}` }, score.toFixed(3)),
    bar,
  );
  const label = `Add ${name} to the history`;
  const attributes = { type: "button", class: "sign", "aria-label": label, title: label, click: () => add(item) };
  return element(
    "li",
    { "data-item": token },
    element("span", { class: "rank" }, String(rank)),
    body,
    value,
    element("button", attributes, "+"),
    attributeList || why ? element("div", { class: "more" }, attributeList, why) : undefined,
  );
}

/** @param {Attributes | undefined} attributes */
function chips(attributes = {}) {
  const shown = Object.entries(attributes).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((text) => text !== null)
      .map((text) => element("li", { title: name.replaceAll("_", " ") }, String(text))),
  );
  return shown.length > 0 ? element("ul", { class: "chips", "aria-label": "Attributes" }, ...shown) : undefined;
}

/**
 * The clicks that contributed most to a score.
 *
 * @param {NonNullable<Scored["because"]>} because
 * @param {ReadonlyMap<string, Item>} details
 */
function causes(because, details) {
  return element(
    "ul",
    { class: "because", "aria-label": "Why" },
    ...because.map(({ item, position, effect, similarity }) =>
      element(
        "li",
        {
          title: `Without click ${position + 1} the score would be ${Math.abs(effect).toFixed(3)} ${effect < 0 ? "higher" : "lower"}; the items' cosine is ${similarity.toFixed(3)}`,
        },
        element("span", { class: effect < 0 ? "effect minus" : "effect plus" }, signed(effect)),
        element("span", { class: "cause" }, details.get(item)?.title ?? item),
        element("span", { class: "cosine" }, `cos ${similarity.toFixed(2)}`),
      ),
    ),
  );
}

/**
 * How an item moved when a click was left out.
 *
 * @param {number | undefined} from
 * @param {number} to
 */
function moveBadge(from, to) {
  if (from === undefined) return element("span", { class: "badge enters" }, "new");
  if (from === to) return undefined;
  const label = `moved from ${from} to ${to}`;
  const isUp = to < from;
  return element(
    "span",
    { class: `badge ${isUp ? "up" : "down"}`, title: label },
    element("span", { "aria-hidden": "true" }, `${isUp ? "▲" : "▼"} ${Math.abs(from - to)}`),
    element("span", { class: "unseen" }, label),
  );
}

/**
 * Where an item stands in the list of the other model.
 *
 * @param {ReadonlyMap<string, number> | undefined} ranks
 * @param {string} item
 * @param {List | undefined} other
 */
function otherBadge(ranks, item, other) {
  if (!ranks || !other) return undefined;
  const rank = ranks.get(item);
  const text = rank === undefined ? "only here" : `${rank} there`;
  const title = rank === undefined ? `Not on the list of ${other.model.name}` : `Rank ${rank} of ${other.model.name}`;
  return element("span", { class: rank === undefined ? "badge enters" : "badge", title }, text);
}

/** @param {readonly Scored[]} items */
function gone(items) {
  const names = items.map(({ item, title }) => element("li", { "data-item": item }, title ?? item));
  return element("div", { class: "gone" }, element("h4", {}, "No longer on the list"), element("ul", {}, ...names));
}

/** @param {number} effect */
function signed(effect) {
  return `${effect < 0 ? "−" : "+"}${Math.abs(effect).toFixed(2)}`;
}

/** @param {number} probability */
function percent(probability) {
  const value = 100 * probability;
  return `${value >= 10 ? value.toFixed(1) : value >= 0.01 ? value.toFixed(2) : value.toPrecision(2)} %`;
}
