import { Command } from "commander";
import { type Inspection, inspect, type ModelInspection } from "../index.js";
import { path, wholeNumber } from "./options.js";
import { formatTable, print, widthOf, writeJson } from "./output.js";

export function inspectCommand(): Command {
  return new Command("inspect")
    .description("describe a dataset, or a model with all instructions of its Program")
    .argument("<folder>", "model or dataset folder", path)
    .option("--samples <n>", "number of samples for which flops and bytes are counted", wholeNumber(1), 256)
    .option("--training", "show the Program of a training step instead of the inference Program", false)
    .option("--json", "print one JSON object", false)
    .action(async (folder: string, { json, ...options }: { samples: number; training: boolean; json: boolean }) => {
      const inspection = await inspect(folder, options);
      if (json) await writeJson(inspection);
      else await print(`${formatInspection(inspection)}\n`);
    });
}

function formatInspection(inspection: Inspection): string {
  if (inspection.kind === "dataset") {
    const { folder, users, clicks, vocabularySizes, newItems, titles } = inspection;
    const rows = [
      ["feature", "tokens"],
      ...Object.entries(vocabularySizes).map(([name, size]) => [name, String(size)]),
    ];
    const more = [
      ...(newItems > 0 ? [`${newItems} of the items are new: they have no clicks`] : []),
      ...(titles > 0 ? [`${titles} items have a title`] : []),
    ];
    return [`dataset ${folder}`, `${users} users, ${clicks} clicks`, ...more, "", formatTable(rows)].join("\n");
  }
  const parameters = inspection.parameters.map(({ name, shape, elements }) => [
    name,
    `[${shape.join(", ")}]`,
    elements.toLocaleString("en"),
  ]);
  const total = inspection.parameters.reduce((sum, { elements }) => sum + elements, 0);
  const instructions = inspection.instructions.map(({ op, inputs, outputs, attributes, flops, bytes }, index) => [
    `${index}  ${op}${formatAttributes(attributes)}`,
    `${outputs.join(", ")} ← ${inputs.join(", ")}`,
    formatCount(flops),
    formatCount(bytes),
  ]);
  const flops = inspection.instructions.reduce((sum, instruction) => sum + instruction.flops, 0);
  const bytes = inspection.instructions.reduce((sum, instruction) => sum + instruction.bytes, 0);
  const dims = Object.entries(inspection.dims).map(([name, size]) => `${name} ${size}`);
  return [
    `model ${inspection.folder}`,
    formatItems(inspection),
    "",
    formatTable([["parameter", "shape", "elements"], ...parameters, ["", "", total.toLocaleString("en")]]),
    "",
    `Program for ${dims.join(", ")}`,
    alignLeft([
      ["instruction", "outputs ← inputs", "flops", "bytes"],
      ...instructions,
      ["", "", formatCount(flops), formatCount(bytes)],
    ]),
  ].join("\n");
}

function formatItems({ items, titles, training: { extendedItems = 0, updates = 0 } }: ModelInspection): string {
  const parts = [
    ...(updates > 0 ? [updates === 1 ? "updated once" : `updated ${updates} times`] : []),
    ...(extendedItems > 0 ? [`${extendedItems} of them added without training`] : []),
    ...(titles > 0 ? [`${titles} with a title`] : []),
  ];
  return [`${items} items`, ...parts].join(", ");
}

function formatAttributes(attributes: Readonly<Record<string, unknown>>): string {
  const texts = Object.entries(attributes).map(([name, value]) => `${name}=${value}`);
  return texts.length > 0 ? ` (${texts.join(" ")})` : "";
}

/** Formats a table with the long text column last, after the numbers. */
function alignLeft(rows: readonly (readonly string[])[]): string {
  const width = (column: number) => widthOf(rows, column);
  return rows
    .map(([what = "", data = "", flops = "", bytes = ""]) =>
      `${what.padEnd(width(0))}  ${flops.padStart(width(2))}  ${bytes.padStart(width(3))}  ${data}`.trimEnd(),
    )
    .join("\n");
}

function formatCount(value: number): string {
  for (const [unit, scale] of [
    ["G", 1e9],
    ["M", 1e6],
    ["k", 1e3],
  ] as const) {
    if (value >= scale) return `${(value / scale).toFixed(1)} ${unit}`;
  }
  return String(Math.round(value));
}
