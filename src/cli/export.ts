import { Command, Option } from "commander";
import { exportOnnx, openModel } from "../index.js";
import { path, wholeNumber } from "./options.js";
import { say } from "./output.js";
import { whenStopped } from "./stop.js";

interface Flags {
  readonly output: string;
  readonly format: "onnx";
  readonly top: number;
}

export function exportCommand(): Command {
  return new Command("export")
    .description("write a model for other runtimes, such as ONNX Runtime and Triton")
    .argument("<model>", "model folder", path)
    .requiredOption("--output <folder>", "folder to write", path)
    .addOption(new Option("--format <form>", "format of the model").choices(["onnx"]).default("onnx"))
    .option("--top <n>", "number of items in the shortlists of shortlist.onnx", wholeNumber(1), 100)
    .action(async (folder: string, { output, top: asked }: Flags) => {
      whenStopped(() => `${output} is unchanged.`);
      using model = await openModel(folder);
      const { inputs, width, top } = await exportOnnx(model, { output, top: asked });
      say(`${output}: user vectors of width ${width} and shortlists of ${top} items`);
      for (const { name, dtype, shape } of inputs) say(`  ${name}: ${dtype} [${shape.join(", ")}]`);
    });
}
