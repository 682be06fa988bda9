import { test } from "uvu";
import * as assert from "uvu/assert";
import { itemAttributes } from "../../src/data/catalogue.js";

test("an item has the attributes of its last click; one that was never clicked, and <unk>, have none", () => {
  const [categories, tags] = itemAttributes(
    {
      users: 1,
      clicks: 5,
      clickOffsets: Int32Array.of(0, 5),
      userFeatures: [],
      numbers: [],
      itemFeatures: [
        { name: "item", ids: Int32Array.of(1, 3, 0, 1, 3), offsets: undefined },
        { name: "category", ids: Int32Array.of(5, 6, 7, 8, 9), offsets: undefined },
        { name: "tags", ids: Int32Array.of(1, 2, 3, 4, 5, 6, 7), offsets: Int32Array.of(0, 1, 3, 4, 7, 7) },
      ],
    },
    4,
  );
  assert.equal(categories, { name: "category", ids: Int32Array.of(0, 8, 0, 9), offsets: undefined });
  assert.equal(tags, { name: "tags", ids: Int32Array.of(5, 6, 7), offsets: Int32Array.of(0, 0, 3, 3, 3) });
});

test.run();
