import { inspect } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { withLazyItems } from "../../../src/model/requests/lazy_items.js";

const items = [{ item: "v1", id: 1, score: 0.5 }];
const plain = { items, known: true, unknown: [] };

test("the items of an answer are made once, when they are first read", () => {
  let made = 0;
  const answer = withLazyItems({ known: true, unknown: [] }, () => {
    made++;
    return items;
  });
  assert.is(made, 0);
  assert.is(answer.items, items);
  assert.is(answer.items, items);
  assert.is(made, 1);
});

test("an answer is like one whose items were there from the beginning", () => {
  const make = () => withLazyItems({ known: true, unknown: [] }, () => items);
  assert.equal(make(), plain);
  assert.equal({ ...make() }, plain);
  assert.equal(structuredClone(make()), plain);
  assert.is(JSON.stringify(make()), JSON.stringify(plain));
  assert.is(inspect(make()), inspect(plain));
  assert.equal(Object.keys(make()), Object.keys(plain));
});

test.run();
