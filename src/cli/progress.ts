import { SingleBar } from "cli-progress";
import type { EpochResult, TrainingState } from "../index.js";

const SECONDS_BETWEEN_LINES = 10;

/** Prints the progress of training: a bar on a terminal, or else a line every few seconds. */
export class TrainingProgress {
  readonly #stream: NodeJS.WriteStream;
  #bar: SingleBar | undefined;
  #lastLine = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  update(state: TrainingState): void {
    if (this.#stream.isTTY) this.#updateBar(state);
    else this.#printLine(state);
  }

  /** Prints a line with the evaluation of an epoch; `before` stands before it. */
  endEpoch({ epoch, loss, validation, best }: EpochResult, before = ""): void {
    if (!validation) return;
    this.stop();
    const beside = (name: string, metric: "hitRate" | "ndcg") =>
      `${name}@10 ${validation[metric]["10"]!.toFixed(4)} (popularity ${validation.popularity[metric]["10"]!.toFixed(4)})`;
    const metrics = [`loss ${loss.toFixed(4)}`, beside("HitRate", "hitRate"), beside("NDCG", "ndcg")].join(", ");
    this.#stream.write(`${before}epoch ${epoch}: ${metrics}${best ? ", the best so far" : ""}\n`);
  }

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #updateBar(state: TrainingState): void {
    this.#bar ??= this.#startBar(state.steps);
    this.#bar.update(state.step, {
      epoch: `${state.epoch}/${state.epochs}`,
      loss: state.loss.toFixed(4),
      speed: Math.round(state.samplesPerSecond),
      left: formatSeconds(state.secondsLeft),
    });
  }

  #startBar(steps: number): SingleBar {
    const format = "epoch {epoch} [{bar}] {percentage}% | loss {loss} | {speed} samples/s | {left} left";
    const bar = new SingleBar({ stream: this.#stream, format, hideCursor: true, clearOnComplete: false });
    bar.start(steps, 0, { epoch: "", loss: "", speed: "", left: "" });
    return bar;
  }

  #printLine(state: TrainingState): void {
    const now = performance.now() / 1000;
    const last = state.step === state.steps;
    if (!last && now - this.#lastLine < SECONDS_BETWEEN_LINES) return;
    this.#lastLine = now;
    this.#stream.write(
      `epoch ${state.epoch}/${state.epochs} step ${state.step}/${state.steps} loss ${state.loss.toFixed(4)} ` +
        `${Math.round(state.samplesPerSecond)} samples/s ${formatSeconds(state.secondsLeft)} left\n`,
    );
  }
}

function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  return minutes > 0 ? `${minutes}m${String(whole % 60).padStart(2, "0")}s` : `${whole}s`;
}
