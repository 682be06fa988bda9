import { test } from "uvu";
import * as assert from "uvu/assert";
import { finish, finishInTurns, Turns } from "../../src/data/turns.js";
import { failureOf } from "./temporary.js";

test("work that takes turns lets the event loop go on", async () => {
  let others = 0;
  let done = false;
  const count = () => {
    others++;
    if (!done) setImmediate(count);
  };
  setImmediate(count);
  const turns = new Turns();
  const end = performance.now() + 200;
  let taken = 0;
  while (performance.now() < end) {
    if (!turns.isDue) continue;
    await turns.take();
    taken++;
  }
  done = true;
  assert.ok(taken >= 3, `${taken} turns`);
  assert.ok(others >= taken, `${others} other callbacks in ${taken} turns`);
});

test("calls in progress share the turn, so that many short ones do not block the event loop together", async () => {
  let others = 0;
  let done = false;
  const count = () => {
    others++;
    if (!done) setImmediate(count);
  };
  setImmediate(count);
  const call = async () => {
    const turns = new Turns();
    for (let piece = 0; piece < 4; piece++) {
      if (turns.isDue) await turns.take();
      const end = performance.now() + 0.25;
      while (performance.now() < end);
    }
  };
  await Promise.all(Array.from({ length: 200 }, call));
  done = true;
  assert.ok(others >= 20, `${others} other callbacks in 200 ms of work`);
});

test("work in the background takes a small part of each turn", async () => {
  let others = 0;
  let done = false;
  const count = () => {
    others++;
    if (!done) setImmediate(count);
  };
  setImmediate(count);
  const work = function* () {
    const end = performance.now() + 200;
    while (performance.now() < end) yield;
    return "result";
  };
  assert.is(await finishInTurns(work(), Turns.inBackground()), "result");
  done = true;
  assert.ok(others >= 8, `${others} other callbacks in 200 ms of work`);
  assert.is(finish(work()), "result");
  const reason = new Error("stopped");
  assert.is(await failureOf(Turns.inBackground(AbortSignal.abort(reason)).take()), reason);
});

test("a signal ends the work at its next turn", async () => {
  const reason = new Error("stopped");
  assert.is(await failureOf(new Turns(AbortSignal.abort(reason)).take()), reason);
  const controller = new AbortController();
  const turn = new Turns(controller.signal).take();
  controller.abort(reason);
  assert.is(await failureOf(turn), reason);
});

test.run();
