import { ShortlistError } from "../errors.js";
import type { TrainingPosition } from "./loop.js";
import { type SessionOptions, type SessionState, TrainingSession } from "./session.js";
import type { UnfinishedTraining } from "./unfinished.js";

/** Longest time that steps are repeated to find out where a number comes from that is not finite. */
const MAX_SECONDS = 60;

/**
 * Opens a session, runs `work` with it, and closes it. If it diverges, the error says which instruction first computed a
 * number that is not finite. `unfinished` has the checkpoints of the session; undefined if it writes none.
 */
export async function inSession<T>(
  options: SessionOptions,
  unfinished: UnfinishedTraining | undefined,
  work: (session: TrainingSession) => Promise<T>,
): Promise<T> {
  const session = await TrainingSession.open(options);
  try {
    return await work(session);
  } catch (error) {
    if ((error as ShortlistError).code !== "ERR_DIVERGED" || !unfinished) throw error;
    session.close();
    throw await withOrigin(error as ShortlistError, session, unfinished, options);
  } finally {
    session.close();
  }
}

/**
 * The error of a training that diverged, with the instruction and the step that first computed a number that is not
 * finite. To find them, the training is repeated from its newest checkpoint or its beginning, unless that takes too long.
 */
async function withOrigin(
  error: ShortlistError,
  { position, hasDiverged }: Pick<TrainingSession, "position" | "hasDiverged">,
  unfinished: UnfinishedTraining,
  options: SessionOptions,
): Promise<ShortlistError> {
  const checkpoint = await unfinished.newestWritten();
  try {
    const origin = await originOf(position, hasDiverged, checkpoint?.state, options);
    return origin === undefined
      ? error
      : new ShortlistError(error.code, `${error.message}. ${origin}`, { cause: error });
  } catch {
    return error; // which matters more than why its origin cannot be found
  } finally {
    checkpoint?.close();
  }
}

async function originOf(
  { step, seconds }: TrainingPosition,
  hasDiverged: boolean,
  from: SessionState | undefined,
  options: SessionOptions,
): Promise<string | undefined> {
  const first = from?.position.step ?? 0;
  const rounds = Math.ceil(Math.log2(step - first + 1)) + 2;
  if ((rounds * (step - first) * seconds) / Math.max(1, step) > MAX_SECONDS) return undefined;
  const isFiniteAfter = (steps: number) => repeated(options, from, steps, async (session) => session.isFinite);
  const trace = (steps: number) => repeated(options, from, steps, (session) => session.traceStep());
  // The loss of the next step may have overflowed. Otherwise a weight did, in a step that bisection finds.
  if (await isFiniteAfter(step)) return hasDiverged ? trace(step) : undefined;
  let [finite, broken] = [first, step];
  while (broken - finite > 1) {
    const middle = Math.floor((finite + broken) / 2);
    if (await isFiniteAfter(middle)) finite = middle;
    else broken = middle;
  }
  return trace(finite);
}

/** Runs `work` on a session that has repeated the first `steps` steps. Undefined if they end with a weight that is not finite. */
async function repeated<T>(
  options: SessionOptions,
  from: SessionState | undefined,
  steps: number,
  work: (session: TrainingSession) => Promise<T>,
): Promise<T | undefined> {
  const silent = { ...options, onProgress: undefined, onWarning: undefined, onReport: undefined };
  const session = await TrainingSession.open(silent);
  try {
    if (from) await session.restore(from);
    while (session.position.step < steps) await session.run({ steps: steps - session.position.step });
    return await work(session);
  } catch (error) {
    if ((error as ShortlistError).code === "ERR_DIVERGED") return undefined;
    throw error;
  } finally {
    session.close();
  }
}
