import { Agent, request } from "node:http";
import { createHistogram } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";

/** What became of requests. */
export interface Load {
  /** Milliseconds from when a request was due to the end of its answer. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  /** Answers of status 200 a second. */
  readonly perSecond: number;
  /** Requests that were not answered with 200. */
  readonly failed: number;
}

/**
 * Sends bodies at a rate for some seconds, at the random times of a Poisson process. This is an open loop: a request is
 * sent when it is due, however many wait for answers, and its time counts from when it was due.
 */
export async function openLoad(url: string, bodies: readonly string[], rate: number, seconds: number): Promise<Load> {
  const agent = new Agent({ keepAlive: true });
  const times = createHistogram();
  let [answered, failed, inFlight] = [0, 0, 0];
  const send = (body: string, due: number) => {
    inFlight++;
    let isDone = false;
    const end = (isAnswered: boolean) => {
      if (isDone) return;
      isDone = true;
      inFlight--;
      if (!isAnswered) failed++;
      else if (++answered) times.record(Math.max(1, Math.round(1e6 * (performance.now() - due))));
    };
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const sent = request(url, { agent, method: "POST", headers }, (response) => {
      response.on("end", () => end(response.statusCode === 200)).on("error", () => end(false));
      response.resume();
    });
    sent.on("error", () => end(false)).end(body);
  };
  const started = performance.now();
  const end = started + 1000 * seconds;
  let [due, next] = [started, 0];
  while (due < end) {
    await sleep(Math.max(0, due - performance.now()));
    const now = performance.now();
    while (due <= now && due < end) {
      send(bodies[next++ % bodies.length]!, due);
      due += (1000 / rate) * -Math.log(1 - Math.random());
    }
  }
  while (inFlight > 0) await sleep(1);
  const elapsed = (performance.now() - started) / 1000;
  agent.destroy();
  const ms = (percent: number) => times.percentile(percent) / 1e6;
  return { p50: ms(50), p99: ms(99), longest: times.max / 1e6, perSecond: answered / elapsed, failed };
}
