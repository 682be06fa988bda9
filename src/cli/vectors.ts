import { Command, Option } from "commander";
import {
  openModel,
  type VectorForm,
  type VectorReport,
  type VectorTransform,
  writeItemVectors,
  writeUserVectors,
} from "../index.js";
import { type EngineFlags, type LogFlags, path, withEngineFlags, withLogFlags } from "./options.js";
import { LOG_MESSAGES, say } from "./output.js";
import { whenStopped } from "./stop.js";

interface Flags extends EngineFlags {
  readonly output: string;
  readonly format: VectorForm;
  readonly transform?: VectorTransform;
}

export function vectorsCommand(): Command {
  const command = new Command("vectors").description("write vectors for nearest-neighbour search");
  command.addCommand(
    withVectorFlags(
      withLogFlags(new Command("users"))
        .description("write the vector of the user of each line")
        .argument("<model>", "model folder", path)
        .argument("<log>", "click log", path),
    ).action(async (folder: string, log: string, flags: Flags & LogFlags) => {
      whenStopped(() => `${flags.output} is unchanged.`);
      const { output, format, transform, onBadLine, maxLineBytes, ...engine } = flags;
      const options = { output, format, transform, onBadLine, maxLineBytes, ...LOG_MESSAGES };
      sayWritten(output, await writeUserVectors(await openModel(folder, engine), log, options));
    }),
  );
  command.addCommand(
    withVectorFlags(
      new Command("items").description("write the vector of each item").argument("<model>", "model folder", path),
    ).action(async (folder: string, { output, format, transform, ...engine }: Flags) => {
      whenStopped(() => `${output} is unchanged.`);
      sayWritten(output, await writeItemVectors(await openModel(folder, engine), { output, format, transform }));
    }),
  );
  return command;
}

const METRICS = { none: "inner product", simple_lsh: "cosine" };

function sayWritten(output: string, { count, width, transform }: VectorReport): void {
  say(`${output}: ${count} vectors of width ${width}, to be compared by ${METRICS[transform]}`);
}

function withVectorFlags(command: Command): Command {
  return withEngineFlags(
    command
      .requiredOption("--output <file>", "file to write; with npy, the ids of its rows go to FILE.tokens.txt", path)
      .addOption(
        new Option(
          "--format <form>",
          "text is id, tab, v0,v1,…; npy is a float32 array; parquet has the columns id and vector",
        )
          .choices(["text", "npy", "parquet"])
          .default("text"),
      )
      .addOption(
        new Option(
          "--transform <name>",
          "none is [1; u] and [b; w], the width of the model's user vectors + 1, whose inner product is the score; " +
            "simple_lsh is that width + 2, and cosines have the order of scores (Neyshabur & Srebro 2015); " +
            "by default, text has simple_lsh and other formats have none",
        ).choices(["none", "simple_lsh"]),
      ),
  );
}
