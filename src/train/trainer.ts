import { join } from "node:path";
import { JsonLines } from "../data/json_lines.js";
import { checkOptions, checkPath } from "../errors.js";
import { METRICS, passFolder, withModelFolder } from "../model/model.js";
import type { Evaluation } from "./evaluate.js";
import type { TrainedPass } from "./loop.js";
import { rankingOf } from "./metrics.js";
import type { TrainingProfile } from "./profile.js";
import { type PassJudgement, SESSION_OPTIONS, type SessionOptions, TrainingSession } from "./session.js";

/** The options of a log are those of `validation` and `testLog`. */
export interface TrainOptions extends SessionOptions {
  /** Model folder to write. */
  readonly output: string;
  /** Called after every pass, one that `steps` cuts short included. */
  readonly onPass?: ((result: PassResult) => void) | undefined;
}

const TRAIN_OPTIONS: Readonly<Record<keyof TrainOptions, true>> = { ...SESSION_OPTIONS, output: true, onPass: true };

/** What a pass did, and how it compares with those before it. */
export interface PassResult extends TrainedPass, PassJudgement {}

/** What a training did. */
export interface TrainReport {
  /** Training speed; saving and evaluation do not count. */
  readonly samplesPerSecond: number;
  /** Seconds in the training loop. */
  readonly seconds: number;
  /** The samples that were trained on, each as often as it was. */
  readonly samples: number;
  /** The steps that were run. */
  readonly steps: number;
  /** Passes that were run, the last one perhaps in part. */
  readonly passes: number;
  /** Mean loss per sample in the last pass. */
  readonly loss: number;
  /** The threads of the kernels. */
  readonly threads: number;
  /** The instruction set of the kernels. */
  readonly isa: string;
  /** The evaluation of the best pass, whose model was kept, where `validation` was given. */
  readonly validation?: Evaluation & { readonly pass: number };
  /** The evaluation on `testLog`, where that was given. */
  readonly evaluation?: Evaluation;
  /** Where the time went, if `profile` asked for it. */
  readonly profile?: TrainingProfile;
}

/**
 * Trains a model on a dataset and writes it, also after every pass (`pass-<n>` in its folder). With `validation` every
 * pass is evaluated, and the model of the one with the best NDCG@10 is kept. `metrics.jsonl` there holds a JSON object
 * a pass: `pass`, `step`, `samples`, `seconds`, `learningRate`, `loss`, `samplesPerSecond` (`TrainedPass`), and with
 * `validation` `hitRate`, `ndcg`, `mrr`, `evaluationSeconds`. Its errors are those of a session; ERR_BUSY where
 * somebody else is writing the folder.
 */
export async function train(options: TrainOptions): Promise<TrainReport> {
  checkOptions("train", options, TRAIN_OPTIONS);
  const { output, onPass, ...sessionOptions } = options;
  checkPath("output", output);
  return withModelFolder(output, async (folder) => {
    const session = await TrainingSession.open(sessionOptions);
    try {
      const passes = await runPasses(session, folder, onPass);
      const kept = passes.findLast(({ best }) => best)!;
      if (kept !== passes.at(-1)) await session.returnToBest(join(folder, passFolder(kept.pass)));
      const keep = [METRICS, ...passes.filter(isWhole).map(({ pass }) => passFolder(pass))];
      await session.write(folder, keep);
      const evaluation = options.testLog === undefined ? undefined : await session.evaluate("test");
      return reportOf(session, passes, kept, evaluation);
    } finally {
      session.close();
    }
  });
}

/** Runs, saves and judges passes until all steps are run or patience is over. */
async function runPasses(
  session: TrainingSession,
  folder: string,
  onPass: TrainOptions["onPass"],
): Promise<PassResult[]> {
  const metrics = new JsonLines(join(folder, METRICS));
  const passes: PassResult[] = [];
  do {
    const trained = await session.run();
    if (isWhole(trained)) await session.write(join(folder, passFolder(trained.pass)));
    const result = { ...trained, ...(await session.judge()) };
    passes.push(result);
    await metrics.add(metricsOf(result));
    onPass?.(result);
  } while (!session.done);
  return passes;
}

function reportOf(
  { engine, profile }: TrainingSession,
  passes: readonly PassResult[],
  kept: PassResult,
  evaluation: Evaluation | undefined,
): TrainReport {
  const { samples, seconds, step, loss } = passes.at(-1)!;
  return {
    samplesPerSecond: samples / seconds,
    seconds,
    samples,
    steps: step,
    passes: passes.length,
    loss,
    threads: engine.threads,
    isa: engine.isa,
    ...(kept.validation && { validation: { pass: kept.pass, ...kept.validation } }),
    ...(evaluation && { evaluation }),
    ...(profile && { profile }),
  };
}

function isWhole({ part }: TrainedPass): boolean {
  return part === 1;
}

/** A line of metrics.jsonl. */
function metricsOf({ validation, evaluationSeconds, best: _best, part: _part, ...trained }: PassResult) {
  return { ...trained, ...(validation && { ...rankingOf(validation), evaluationSeconds }) };
}
