import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HAS_USEARCH } from "../retrieve/index_files.js";
import { withSmallModel } from "../small_model.js";
import { run, succeed } from "./run.js";

const indexTest = HAS_USEARCH ? test : test.skip;

indexTest("index build writes an index with its figures, by which recommend and mine users find the same", async () => {
  await withSmallModel(async (at) => {
    const [model, log, index] = [at("model"), at("log.tsv"), at("index")];
    const { status, stderr } = run(["index", "build", model, "--output", index, "--users", log, "--top", "5"]);
    assert.is(status, 0, stderr);
    assert.match(stderr, /9 items, (inner_product|simple_lsh), search width \d+\n/);
    assert.match(stderr, /recall@5 1\.0000 of \d+ users \(log\), \d+ searches\/s, exact scan \d+\/s\n/);
    const figures = JSON.parse(readFileSync(`${index}/index.json`, "utf8"));
    assert.equal([figures.format, figures.version, figures.recall, figures.top], ["shortlist-index", 1, 1, 5]);
    assert.is(figures.model, JSON.parse(readFileSync(`${model}/config.json`, "utf8")).id);

    const withoutProbability = (line: string) => line.replaceAll(/,"probability":[^}]+/g, "");
    const exact = succeed("recommend", model, log, "--top", "4");
    assert.match(exact, /probability/);
    assert.is(succeed("recommend", model, log, "--top", "4", "--index", index), withoutProbability(exact));
    const mined = succeed("mine", "users", model, "--log", log, "--top", "4");
    assert.is(succeed("mine", "users", model, "--log", log, "--top", "4", "--index", index), withoutProbability(mined));
    const [first] = succeed("recommend", model, log, "--index", index, "--format", "text").split("\n");
    const [list] = exact.split("\n").map((line) => JSON.parse(line || "{}"));
    assert.ok(first!.startsWith(`${list.items[0].item}:${list.items[0].score.toFixed(6)}`), first);
  });
});

indexTest("an impossible minimum, and an index of another model, end with one line", async () => {
  await withSmallModel(async (at) => {
    for (const share of ["0", "1.5", "x"]) {
      const { status, stderr } = run(["index", "build", at("model"), "--output", at("i"), "--minimum-recall", share]);
      assert.equal([status, /Expected a number/.test(stderr)], [2, true], stderr);
    }
    const { status, stderr } = run(["recommend", at("model"), at("log.tsv"), "--index", at("dataset")]);
    assert.is(status, 1);
    assert.match(stderr, /^error: .*Build an index with "shortlist index build"/);
  });
});

test.run();
