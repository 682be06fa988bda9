import { Command } from "commander";
import { type GrowthOptions, type PreparedDataset, readConfig, update } from "../index.js";
import {
  type EngineFlags,
  finiteNumber,
  type LogFlags,
  path,
  paths,
  seedNumber,
  wholeNumber,
  withEngineFlags,
  withLogFlags,
} from "./options.js";
import { say, warn } from "./output.js";
import {
  formatTables,
  isTable,
  logOfStandardInput,
  sayDataset,
  sourceOf,
  splitTableFlags,
  type TableFlags,
  withGrowthFlags,
  withInputs,
  withTableFlags,
} from "./tables.js";
import {
  type CheckpointFlags,
  printReport,
  REPLAY_HELP,
  stoppableTraining,
  withCheckpointFlags,
  writePage,
} from "./train.js";

interface Flags extends EngineFlags, LogFlags, TableFlags, CheckpointFlags, GrowthOptions {
  readonly dataset: string;
  readonly output: string;
  readonly outputDataset: string;
  readonly config?: string;
  readonly set: readonly string[];
  readonly epochs?: number;
  readonly learningRate?: number;
  readonly replay?: number;
  readonly keepState?: boolean;
  readonly test?: string;
  readonly seed: number;
  readonly json: boolean;
}

export function updateCommand(): Command {
  const command = new Command("update")
    .description("update a model by the events that came since: yesterday's model plus today's clicks")
    .argument("<model>", "model folder", path)
    .argument("[inputs...]", "the new events: files of one table, or click logs; - is standard input", paths)
    .requiredOption(
      "--dataset <dataset>",
      "dataset that the model was trained on, with the users' earlier clicks",
      path,
    )
    .requiredOption("--output <model>", "model folder to write", path)
    .requiredOption("--output-dataset <dataset>", "dataset folder to write, for the next update", path)
    .option("--learning-rate <x>", "learning rate of the update (default: half of the first training's)", finiteNumber)
    .option("--epochs <n>", "number of times that training goes through the new clicks (default: 2)", wholeNumber(1))
    .option("--config <file>", "JSON file with configuration keys of the training", path)
    .option("--set <key=value...>", "single configuration keys, such as batchSize=256", [])
    .option("--replay <x>", REPLAY_HELP, finiteNumber)
    .option("--keep-state", "write the optimizer's state to the model folder (default: as the model has it)")
    .option("--test <log>", "evaluate on this log after training", path)
    .option("--seed <n>", "random seed", seedNumber, 1)
    .option("--json", "print one JSON object with the speed and the loss", false);
  withTableFlags(withGrowthFlags(withCheckpointFlags(command)));
  return withEngineFlags(withLogFlags(command)).action(async (model: string, inputs: string[], flags: Flags) => {
    await withInputs(inputs, flags.outputDataset, (copy) => runUpdate(model, inputs, flags, copy));
  });
}

async function runUpdate(model: string, inputs: string[], flags: Flags, standardInput?: string): Promise<void> {
  const { config, learningRate, epochs, set, test, json: _, report: hasReport, ...rest } = flags;
  const { tables, others: options } = splitTableFlags(rest);
  const read = inputs.map((input) => (input === "-" ? standardInput! : input));
  const isOfTable = await isTable(read, tables);
  const logs = inputs.map((input) => (input === "-" ? logOfStandardInput(standardInput!) : input));
  const shortcuts = Object.entries({ learningRate, epochs })
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${value}`);
  let grown: PreparedDataset | undefined;
  const report = await stoppableTraining(
    flags.output,
    () => whatStays(flags, grown),
    async (callbacks) =>
      update({
        ...{ ...options, ...callbacks, model, testLog: test, set: [...set, ...shortcuts] },
        ...(isOfTable ? { source: await sourceOf(inputs, tables), standardInput } : { logs }),
        ...(config !== undefined && { config: await readConfig(config, { onWarning: warn }) }),
        onUnderstood: (understood) => say(formatTables(understood)),
        onDataset: (dataset) => {
          grown = dataset;
          sayDataset(flags.outputDataset, dataset);
        },
      }),
  );
  if (!report) return;
  if (hasReport) await writePage(flags);
  const { dataset: _dataset, ...trained } = report;
  await printReport(trained, flags);
}

function whatStays({ output, outputDataset }: Flags, grown: PreparedDataset | undefined): string {
  if (!grown) return `${outputDataset} and ${output} are unchanged.`;
  return `${outputDataset} is finished, ${output} is unchanged. The same command begins the training anew.`;
}
