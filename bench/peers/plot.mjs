// Draws results.json as results.svg: `node bench/peers/plot.mjs results.json results.svg`. A bar a row, the ratio on a
// logarithmic axis from 1×; a mark where the target is.

import { readFileSync, writeFileSync } from "node:fs";

let echarts;
try {
  echarts = await import("echarts");
} catch {
  console.error("No plot is drawn: npm install --prefix bench/peers");
  process.exit(0);
}

const [from, to] = process.argv.slice(2);
const results = JSON.parse(readFileSync(from, "utf8")).toReversed();
const REACHED = "#2f7d5b";
const BELOW = "#b5562f";
const NONE = "#6b7785";
const ROW_HEIGHT = 20;
const LABEL_WIDTH = 640;

const color = ({ ratio, target }) => (target == null ? NONE : ratio >= target ? REACHED : BELOW);
const label = ({ group, name, threads }) => `${group}: ${name}, ${threads} thr.`;
const least = Math.min(0.5, ...results.map(({ ratio, target }) => 0.8 * Math.min(ratio, target ?? ratio)));

const chart = echarts.init(null, null, {
  renderer: "svg",
  ssr: true,
  width: 1200,
  height: ROW_HEIGHT * results.length + 110,
});
chart.setOption({
  animation: false,
  backgroundColor: "#ffffff",
  title: { text: "Shortlist against its peers", subtext: "ratio of rates; | is the target", left: 10 },
  grid: { left: LABEL_WIDTH, right: 70, top: 60, bottom: 30 },
  xAxis: { type: "log", min: least, axisLabel: { formatter: (value) => `${Number(value.toPrecision(2))}×` } },
  yAxis: { type: "category", data: results.map(label), axisLabel: { fontSize: 11, interval: 0 } },
  series: [
    {
      type: "bar",
      barWidth: 10,
      data: results.map((result) => ({ value: result.ratio, itemStyle: { color: color(result) } })),
      label: { show: true, position: "right", fontSize: 11, formatter: ({ value }) => `${value.toFixed(2)}×` },
      markLine: {
        silent: true,
        symbol: "none",
        label: { show: false },
        lineStyle: { color: "#333333" },
        data: [{ xAxis: 1 }],
      },
    },
    {
      type: "scatter",
      symbol: "rect",
      symbolSize: [2, 16],
      itemStyle: { color: "#111111" },
      data: results.flatMap(({ target }, row) => (target == null ? [] : [[target, row]])),
    },
  ],
});
writeFileSync(to, chart.renderToSVGString());
chart.dispose();
process.exit(0);
