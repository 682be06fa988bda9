import { element } from "../../serve/page/dom.js";

/** @typedef {import("../blocks.js").Chart} Chart */
/** @typedef {import("uplot")} Plot */
/** @typedef {typeof import("uplot")} PlotType */

/** uPlot, which an earlier script of the page defines. */
const uPlot = /** @type {PlotType} */ (Reflect.get(globalThis, "uPlot"));

const HEIGHT = 260;
/** Colours of the lines that are no baselines, in order. */
const COLOURS = ["--accent", "--second", "--third", "--fourth"];
const DASHES = [
  [6, 4],
  [2, 3],
];
/** Most rows of the table of a chart. */
const MAX_ROWS = 60;

/**
 * Draws a chart with its numbers as a table below. When it has the focus, the arrow keys move the cursor, whose numbers
 * stand in the legend.
 *
 * @param {Chart} chart
 */
export function chartFigure(chart) {
  const plot = element("div", {
    class: "plot",
    tabindex: 0,
    role: "img",
    "aria-label": `${chart.title}. ${chart.summary}`,
  });
  const figure = element(
    "figure",
    { class: chart.isHalf ? "chart half" : "chart" },
    element("figcaption", {}, chart.title),
    plot,
    numbersOf(chart),
  );
  /** @type {Plot | undefined} */
  let drawn;
  const draw = () => {
    drawn?.destroy();
    const width = plot.clientWidth;
    drawn = width > 0 ? new uPlot(optionsOf(chart, width), dataOf(chart), plot) : undefined;
  };
  new ResizeObserver(() => {
    if (drawn) drawn.setSize({ width: plot.clientWidth, height: HEIGHT });
    else draw();
  }).observe(plot);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  plot.addEventListener("keydown", (event) => {
    if (drawn && moveCursor(drawn, event.key)) event.preventDefault();
  });
  return figure;
}

/**
 * Moves the cursor of a chart by a key. Returns whether the key does.
 *
 * @param {Plot} plot
 * @param {string} key
 */
function moveCursor(plot, key) {
  const last = plot.data[0].length - 1;
  const index = plot.cursor.idx ?? (key === "ArrowLeft" ? last + 1 : -1);
  /** @type {Readonly<Record<string, number>>} */
  const places = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: last };
  const place = places[key];
  if (place === undefined) return false;
  const next = Math.max(0, Math.min(last, place));
  plot.setCursor({ left: plot.valToPos(Number(plot.data[0][next]), "x"), top: plot.over.clientHeight / 2 });
  return true;
}

/**
 * @param {Chart} chart
 * @returns {import("uplot").AlignedData}
 */
function dataOf({ x, lines }) {
  return [[...x.values], ...lines.map(({ values }) => [...values])];
}

/** @param {string} name */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/**
 * @param {Chart} chart
 * @param {number} width
 * @returns {import("uplot").Options}
 */
function optionsOf(chart, width) {
  const { x, lines } = chart;
  let [models, baselines] = [0, 0];
  const series = lines.map(({ label, isBaseline = false }) => ({
    label,
    stroke: colour(isBaseline ? "--quiet" : /** @type {string} */ (COLOURS[models++ % COLOURS.length])),
    width: 2,
    ...(isBaseline && { dash: /** @type {number[]} */ (DASHES[baselines++ % DASHES.length]) }),
    points: { show: chart.hasPoints === true && !isBaseline, size: 7 },
    spanGaps: true,
    value: (/** @type {unknown} */ _plot, /** @type {number | null} */ value) => shortNumber(value),
  }));
  const axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line") },
  };
  const font = "12px system-ui, sans-serif";
  return {
    width,
    height: HEIGHT,
    cursor: { y: false, drag: { x: false, y: false } },
    scales: {
      x: { time: false, range: rangeOf(x.values) },
      y: { range: (_plot, low, high) => padded(low, high, chart) },
    },
    axes: [
      { ...axis, font, size: 34, space: 60, values: (_plot, ticks) => ticks.map(tickOf(chart)) },
      { ...axis, font, size: 58, values: (_plot, ticks) => ticks.map(shortNumber) },
    ],
    series: [{ label: x.label, value: (_plot, value) => shortNumber(value) }, ...series],
    hooks: {
      draw: [(plot) => drawMarks(plot, chart)],
      // Until the cursor is in the chart, the legend has the last numbers.
      ready: [(plot) => plot.setLegend({ idx: x.values.length - 1 })],
    },
  };
}

/**
 * The range of the x axis: that of the values, with room around a single one.
 *
 * @param {readonly number[]} values
 * @returns {[number, number]}
 */
function rangeOf(values) {
  const [first = 0, last = 1] = [values[0], values.at(-1)];
  return first === last ? [first - 1, last + 1] : [first, last];
}

/**
 * The range of the y axis: that of the values with a margin, from zero if that is near, and with room for the labels of
 * marks.
 *
 * @param {number | null} low
 * @param {number | null} high
 * @param {Chart} chart
 * @returns {[number, number]}
 */
function padded(low, high, { marks = [] }) {
  const [least, most] = [low ?? 0, high ?? 1];
  const bottom = least >= 0 && least < 0.4 * most ? 0 : least;
  const height = most - bottom || Math.abs(most) || 1;
  return [bottom === 0 ? 0 : bottom - 0.06 * height, most + (marks.length > 0 ? 0.2 : 0.06) * height];
}

/**
 * Ticks of epochs and steps are whole numbers.
 *
 * @param {Chart} chart
 * @returns {(tick: number) => string}
 */
function tickOf({ x }) {
  const areWhole = x.values.every(Number.isInteger);
  return (tick) => (areWhole && !Number.isInteger(tick) ? "" : shortNumber(tick));
}

/**
 * Draws a line for each mark, with its label at the top.
 *
 * @param {Plot} plot
 * @param {Chart} chart
 */
function drawMarks(plot, { marks = [] }) {
  const { ctx } = plot;
  const { left, top, width, height } = plot.bbox;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${12 * ratio}px system-ui, sans-serif`;
  ctx.fillStyle = colour("--good");
  ctx.strokeStyle = colour("--good");
  ctx.lineWidth = ratio;
  for (const { x, label } of marks) {
    const at = plot.valToPos(x, "x", true);
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(at, top);
    ctx.lineTo(at, top + height);
    ctx.stroke();
    const isRight = at > left + width / 2;
    ctx.textAlign = isRight ? "right" : "left";
    ctx.fillText(label, at + (isRight ? -5 : 5) * ratio, top + 12 * ratio);
  }
  ctx.restore();
}

/**
 * @param {number | null | undefined} value
 * @returns {string}
 */
function shortNumber(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return `${trimmed(value / 1e6)} M`;
  if (size >= 1e4) return `${trimmed(value / 1e3)} k`;
  if (Number.isInteger(value)) return String(value);
  return size >= 1e-4 ? trimmed(value) : value.toExponential(2);
}

/** @param {number} value */
function trimmed(value) {
  return String(Number(value.toPrecision(4)));
}

/**
 * The numbers of a chart as a table that can be opened; some of them if there are many.
 *
 * @param {Chart} chart
 */
function numbersOf({ x, lines, title }) {
  const stride = Math.max(1, Math.ceil(x.values.length / MAX_ROWS));
  const last = x.values.length - 1;
  const shown = x.values.map((_, i) => i).filter((i) => (last - i) % stride === 0);
  const head = [x.label, ...lines.map(({ label }) => label)].map((text) => element("th", { scope: "col" }, text));
  const rows = shown.map((i) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, shortNumber(x.values[i])),
      ...lines.map(({ values }) => element("td", {}, shortNumber(values[i]))),
    ),
  );
  const table = element(
    "table",
    { "aria-label": title },
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...rows),
  );
  return element(
    "details",
    {},
    element("summary", {}, "Numbers"),
    element("div", { class: "scroll", tabindex: 0 }, table),
  );
}
