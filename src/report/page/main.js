import { element } from "../../serve/page/dom.js";
import { chartFigure } from "./chart.js";

/** @typedef {import("../blocks.js").ReportPage} ReportPage */
/** @typedef {import("../blocks.js").Block} Block */
/** @typedef {import("../blocks.js").Table} Table */
/** @typedef {import("../blocks.js").Bars} Bars */
/** @typedef {import("../blocks.js").Intervals} Intervals */
/** @typedef {import("../blocks.js").Cards} Cards */

const data = /** @type {ReportPage} */ (JSON.parse(document.getElementById("data")?.textContent ?? ""));
show(data);

/** @param {ReportPage} page */
function show({ title, subtitle, sections }) {
  document.body.prepend(
    element("header", {}, element("h1", {}, title), element("p", { class: "quiet" }, subtitle)),
    element("main", {}, ...sections.map(sectionOf)),
  );
}

/**
 * @param {ReportPage["sections"][number]} section
 * @param {number} index
 */
function sectionOf({ title, blocks }, index) {
  const id = `section-${index + 1}`;
  return element(
    "section",
    { "aria-labelledby": id },
    element("h2", { id }, title),
    element("div", { class: "blocks" }, ...blocks.map(blockOf)),
  );
}

/**
 * @param {Block} block
 * @returns {HTMLElement}
 */
function blockOf(block) {
  switch (block.kind) {
    case "tiles":
      return element(
        "dl",
        { class: "tiles" },
        ...block.tiles.map(({ label, value, note }) =>
          element(
            "div",
            {},
            element("dt", {}, label),
            element("dd", { class: "value" }, value),
            note === undefined ? undefined : element("dd", { class: "quiet" }, note),
          ),
        ),
      );
    case "chart":
      return chartFigure(block);
    case "table":
      return tableOf(block);
    case "bars":
      return barsOf(block);
    case "intervals":
      return intervalsOf(block);
    case "cards":
      return cardsOf(block);
    case "note":
      return element("p", { class: "quiet note" }, block.text);
  }
}

/** @param {Table} table */
function tableOf({ caption, head, rows, isClosed = false, isHalf = false, isText = false }) {
  const cells = (/** @type {readonly string[]} */ row) =>
    row.map((text, i) => (i === 0 ? element("th", { scope: "row" }, text) : element("td", {}, text)));
  const table = element(
    "table",
    { class: isText ? "text" : undefined, "aria-label": caption },
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row)))),
  );
  // Wide tables are scrolled inside of their box, by the keyboard too.
  const box = element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption }, table);
  if (isClosed) return element("details", { class: "panel" }, element("summary", {}, caption), box);
  return element("figure", { class: isHalf ? "panel half" : "panel" }, element("figcaption", {}, caption), box);
}

/** @param {Bars} bars */
function barsOf({ caption, names, rows }) {
  const longest = Math.max(...rows.flatMap(({ shares }) => shares), 1e-9);
  const bar = (/** @type {number} */ share, /** @type {number} */ i) => {
    const made = element("div", { class: i === 0 ? "bar" : "bar second" });
    made.style.width = `${(100 * share) / longest}%`;
    return made;
  };
  const list = rows.map(({ label, shares, text }) =>
    element(
      "li",
      {},
      element("span", { class: "bar-label" }, label),
      element("span", { class: "bar-space", "aria-hidden": "true" }, ...shares.map(bar)),
      element("span", { class: "bar-text" }, text),
    ),
  );
  const key = names?.map((name, i) => element("span", { class: i === 0 ? "key" : "key second" }, name));
  return element(
    "figure",
    { class: "panel bars" },
    element("figcaption", {}, caption),
    key && element("p", { class: "keys" }, ...key),
    element("ul", {}, ...list),
  );
}

/** @param {Intervals} intervals */
function intervalsOf({ caption, rows, hasZero = false }) {
  const bounds = rows.flatMap(({ low, high }) => [low, high]).concat(hasZero ? 0 : []);
  const [least, most] = [Math.min(...bounds), Math.max(...bounds)];
  const place = (/** @type {number} */ value) => 2 + (96 * (value - least)) / (most - least || 1);
  const part = (/** @type {string} */ name, /** @type {number} */ from, /** @type {number} */ to) => {
    const made = element("span", { class: name });
    made.style.left = `${place(from)}%`;
    if (to > from) made.style.width = `${place(to) - place(from)}%`;
    return made;
  };
  const list = rows.map(({ label, low, mean, high, text }) =>
    element(
      "li",
      {},
      element("span", { class: "bar-label" }, label),
      element(
        "span",
        { class: "bar-space interval", "aria-hidden": "true" },
        hasZero ? part("zero", 0, 0) : undefined,
        part("whisker", low, high),
        part("dot", mean, mean),
      ),
      element("span", { class: "bar-text" }, text),
    ),
  );
  return element("figure", { class: "panel bars" }, element("figcaption", {}, caption), element("ul", {}, ...list));
}

/** @param {Cards} cards */
function cardsOf({ cards }) {
  return element(
    "div",
    { class: "cards" },
    ...cards.map(({ title, note, rows }) =>
      element(
        "article",
        {},
        element("h3", {}, title),
        element("p", { class: "quiet" }, note),
        element(
          "ol",
          {},
          ...rows.map(({ text, value }) =>
            element("li", {}, element("span", {}, text), element("span", { class: "quiet number" }, value)),
          ),
        ),
      ),
    ),
  );
}
