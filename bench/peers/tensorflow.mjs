// The TensorFlow.js side of `npm run bench:peers`, with the protocol of peer.py. Its backends are "wasm" (with SIMD
// and, if asked for, threads) and "cpu" (plain JavaScript).

import { createInterface } from "node:readline";
import * as tf from "@tensorflow/tfjs";
import { setThreadsCount } from "@tensorflow/tfjs-backend-wasm";

const BLOCK_SECONDS = 0.02;

/** The kinds of work. `dispose` frees tensors. Results are read, because only that ensures that the work is done. */
const WORKS = {
  gemm({ rows, out, inner }) {
    const [a, b] = [tf.randomNormal([rows, inner]), tf.randomNormal([inner, out])];
    return { run: () => read(() => tf.matMul(a, b)), dispose: () => tf.dispose([a, b]) };
  },
  lstm({ batch, timesteps, width }) {
    const layer = tf.layers.lstm({ units: width, returnSequences: true, inputShape: [timesteps, width] });
    const x = tf.variable(tf.randomNormal([batch, timesteps, width]));
    layer.apply(x);
    const loss = () => layer.apply(x).max(1).sum();
    return {
      run: () =>
        read(() => {
          const { grads } = tf.variableGrads(loss);
          return Object.values(grads).reduce((total, gradient) => total.add(gradient.sum()), tf.scalar(0));
        }),
      dispose: () => {
        layer.dispose();
        x.dispose();
      },
    };
  },
  /** Means of bags of equal length, since TensorFlow.js has no ragged bags. */
  bag({ rows, bags, length, width }) {
    const table = tf.randomNormal([rows, width]);
    const ids = tf.randomUniformInt([bags * length], 0, rows);
    return {
      run: () => read(() => tf.gather(table, ids).reshape([bags, length, width]).mean(1)),
      dispose: () => tf.dispose([table, ids]),
    };
  },
};

async function read(compute) {
  const result = tf.tidy(compute);
  await result.data();
  result.dispose();
}

const handles = [];

async function answer({ call, ...request }) {
  switch (call) {
    case "versions":
      return { tfjs: tf.version.tfjs, node: process.versions.node };
    case "prepare": {
      const { work, backend, threads, ...sizes } = request;
      if (backend === "wasm") setThreadsCount(threads);
      await tf.setBackend(backend);
      const { run, dispose } = WORKS[work](sizes);
      await run();
      const start = performance.now();
      await run();
      const calls = Math.max(1, Math.round((1000 * BLOCK_SECONDS) / (performance.now() - start)));
      handles.push({ backend, run, dispose, calls });
      return { handle: handles.length - 1, backend: tf.getBackend() };
    }
    case "measure": {
      const { backend, run, calls } = handles[request.handle];
      await tf.setBackend(backend);
      await run();
      const times = [];
      const end = performance.now() + 1000 * request.seconds;
      while (times.length === 0 || performance.now() < end) {
        const start = performance.now();
        for (let i = 0; i < calls; i++) await run();
        times.push((performance.now() - start) / 1000);
      }
      times.sort((a, b) => a - b);
      return { seconds: times[times.length >> 1] / calls };
    }
    case "close":
      await tf.setBackend(handles[request.handle].backend);
      handles[request.handle].dispose();
      return {};
    default:
      throw new Error(`unknown call ${call}`);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply;
  try {
    reply = await answer(JSON.parse(line));
  } catch (error) {
    reply = { error: String(error.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
