// Draws results.json as results.svg: `node bench/peers/plot.mjs results.json results.svg`. Each measurement has a row,
// with a bar for each machine. Bars show the ratio on a logarithmic axis and begin at 1×; a mark shows the target.

import { readFileSync, writeFileSync } from "node:fs";

let echarts;
try {
  echarts = await import("echarts");
} catch {
  console.error("No plot is drawn: npm install --prefix bench/peers");
  process.exit(0);
}

const [from, to] = process.argv.slice(2);
const results = JSON.parse(readFileSync(from, "utf8"));
/** Colours of the machines. They are pale if the target is not reached. */
const HUES = ["#2c6fad", "#d07a1c", "#7a4fa3", "#2f8f83", "#b0487a"];
const PALE = "40";
const BELOW = "#c0392b";
const BAR_HEIGHT = 10;
const BAR_GAP = 2;
const LABEL_WIDTH = 640;

/** Name of the machine, as in report.ts. */
const machine = ({ circumstances: { isa, cpu } }) => `${isa}, ${cpu}`;
const row = ({ group, name, threads }) => `${group}: ${name}, ${threads} thr.`;
const machines = [...new Set(results.map(machine))];
const rows = [...new Set(results.map(row))];
const rowHeight = (BAR_HEIGHT + BAR_GAP) * machines.length + 8;
const top = 20 * machines.length + 40;
const least = 0.4 * Math.min(1, ...results.map(({ ratio, target }) => Math.min(ratio, target ?? ratio)));

function bar(result, hue) {
  const below = result.target != null && result.ratio < result.target;
  return {
    value: [result.ratio, row(result)],
    itemStyle: { color: below ? hue + PALE : hue, borderColor: hue },
    // The label is on the side without the mark of the target.
    label: below ? { position: "left", color: BELOW, fontWeight: "bold" } : {},
  };
}

const chart = echarts.init(null, null, {
  renderer: "svg",
  ssr: true,
  width: 1200,
  height: rowHeight * rows.length + top + 50,
});
chart.setOption({
  animation: false,
  backgroundColor: "#ffffff",
  title: {
    text: "Shortlist against its peers",
    subtext: "ratio of rates; | is the target; below it: a pale bar, a red number",
    left: 10,
  },
  legend: { data: machines, orient: "vertical", left: LABEL_WIDTH, top: 10, selectedMode: false },
  grid: { left: LABEL_WIDTH, right: 70, top, bottom: 30 },
  xAxis: { type: "log", min: least, axisLabel: { formatter: (value) => `${Number(value.toPrecision(2))}×` } },
  yAxis: { type: "category", data: rows, inverse: true, axisLabel: { fontSize: 11, interval: 0 } },
  series: [
    ...machines.map((name, i) => {
      const hue = HUES[i % HUES.length];
      return {
        name,
        type: "bar",
        barWidth: BAR_HEIGHT,
        barGap: `${(100 * BAR_GAP) / BAR_HEIGHT}%`,
        color: hue,
        data: results.filter((result) => machine(result) === name).map((result) => bar(result, hue)),
        label: { show: true, position: "right", fontSize: 11, formatter: ({ value }) => `${value[0].toFixed(2)}×` },
      };
    }),
    {
      type: "scatter",
      symbol: "rect",
      symbolSize: [2, rowHeight - 4],
      itemStyle: { color: "#111111" },
      data: results.flatMap((result) => (result.target == null ? [] : [[result.target, row(result)]])),
      markLine: {
        silent: true,
        symbol: "none",
        label: { show: false },
        lineStyle: { color: "#333333" },
        data: [{ xAxis: 1 }],
      },
    },
  ],
});
writeFileSync(to, chart.renderToSVGString());
chart.dispose();
process.exit(0);
