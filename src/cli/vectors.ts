import { Command, Option } from "commander";
import { openModel, writeItemVectors, writeUserVectors } from "../index.js";
import { type EngineFlags, type LogFlags, path, withEngineFlags, withLogFlags } from "./options.js";
import { LOG_MESSAGES, say } from "./output.js";
import { whenStopped } from "./stop.js";

interface Flags extends EngineFlags {
  readonly output: string;
  readonly format: "text" | "npy";
  readonly transform: "simple_lsh" | "none";
}

export function vectorsCommand(): Command {
  const command = new Command("vectors").description("write vectors for nearest-neighbour search");
  command.addCommand(
    withVectorFlags(
      withLogFlags(new Command("users"))
        .description("write the vector [1; u] of the user of each line")
        .argument("<model>", "model folder", path)
        .argument("<log>", "click log", path),
    ).action(async (folder: string, log: string, flags: Flags & LogFlags) => {
      whenStopped(() => `${flags.output} is unchanged.`);
      const { output, format, transform, onBadLine, maxLineBytes, ...engine } = flags;
      const options = { output, format, transform, onBadLine, maxLineBytes, ...LOG_MESSAGES };
      const report = await writeUserVectors(await openModel(folder, engine), log, options);
      say(`${output}: ${report.count} vectors of width ${report.width}`);
    }),
  );
  command.addCommand(
    withVectorFlags(
      new Command("items")
        .description("write the vector [b; w] of each item")
        .argument("<model>", "model folder", path),
    ).action(async (folder: string, { output, format, transform, ...engine }: Flags) => {
      whenStopped(() => `${output} is unchanged.`);
      const report = await writeItemVectors(await openModel(folder, engine), { output, format, transform });
      say(`${output}: ${report.count} vectors of width ${report.width}`);
    }),
  );
  return command;
}

function withVectorFlags(command: Command): Command {
  return withEngineFlags(
    command
      .requiredOption("--output <file>", "file to write; with npy, the tokens of its rows go to FILE.tokens.txt", path)
      .addOption(
        new Option("--format <form>", "output format; text is token, tab, v0,v1,…")
          .choices(["text", "npy"])
          .default("text"),
      )
      .addOption(
        new Option(
          "--transform <name>",
          "simple_lsh makes the order by cosine equal to that by score (Neyshabur & Srebro 2015)",
        )
          .choices(["simple_lsh", "none"])
          .default("simple_lsh"),
      ),
  );
}
