import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Titles } from "../../src/data/titles.js";
import { openModel, parseSchema, prepareDataset, train, type UserRequest } from "../../src/index.js";
import { Model, saveModel } from "../../src/model/model.js";
import { Assignment } from "../../src/serve/assignment.js";
import { withFolder } from "../data/temporary.js";
import { SMALL, withSmallModel } from "../small_model.js";
import { type Answer, ask, HAS_SERVICE, withService } from "./service.js";

const served = HAS_SERVICE ? test : test.skip;

/** Saves a copy of a model whose items have titles. */
async function giveTitles(folder: string, output: string): Promise<void> {
  using model = await openModel(folder, { threads: 1 });
  const titles = Titles.of(model.items.tokens.map((token, id) => (id > 0 && id < 9 ? `Le Café №${token}` : null)));
  const { description, program, engine, store } = model;
  await saveModel(new Model({ ...description, titles }, program, engine, store, "given"), output);
}

const USERS: UserRequest[] = [
  { features: { user_id: "u1" }, history: ["v1", "v2"] },
  {},
  { features: { user_id: "nobody" }, history: [{ item: "v3" }, "unknown"] },
  { history: ["v8", "v8", "v0"] },
];

served("every route gives the answers of the library, bit for bit, with titles", async () => {
  await withSmallModel(async (at) => {
    await giveTitles(at("model"), at("titled"));
    using model = await openModel(at("titled"), { threads: 1 });
    const by = { model: { name: "default", id: model.id } };
    await withService({ models: { default: at("titled") } }, async ({ url }) => {
      const plain = (value: unknown) => JSON.parse(JSON.stringify(value));
      const expectSame = ({ status, body }: Answer, expected: object) => {
        assert.is(status, 200, JSON.stringify(body));
        assert.equal(body, plain(expected));
      };
      const optionSets = [
        { top: 4 },
        { top: 2, exclude: ["v1", "zz"], keepWatched: true },
        { allow: ["v4", "x"], probabilities: false },
      ];
      for (const options of [...optionSets, { top: 3, explain: true }]) {
        const answers = await model.recommend(USERS, options);
        assert.ok(answers[0]!.items.some(({ title }) => title !== undefined));
        expectSame(await ask(`${url}/v1/shortlists`, { users: USERS, ...options }), {
          users: answers.map((answer) => ({ ...by, ...answer })),
        });
        for (const user of USERS) {
          const expected = { ...by, ...(await model.recommend(user, options)) };
          expectSame(await ask(`${url}/v1/shortlists`, { ...user, ...options }), expected);
        }
      }
      const titleOf = (id: number) => ({ ...(id < 9 && { title: model.description.titles!.titleOf(id) }) });
      const vectors = await model.userVectors(USERS);
      const received = await ask(`${url}/v1/vectors`, { users: USERS });
      assert.equal(
        received.body.users.map(({ vector }: { vector: number[] }) => Float32Array.from(vector)),
        vectors.map(({ vector }) => vector),
      );
      const { vector, ...rest } = (await ask(`${url}/v1/vectors`, USERS[2])).body;
      assert.equal(Float32Array.from(vector), vectors[2]!.vector);
      assert.equal(rest, plain({ ...by, known: true, unknown: (await model.userVectors(USERS[2]!)).unknown }));
      const items = ["v5", "v0", "zz", "v5"];
      const scores = (await model.score(USERS, items)).map((answer) => ({
        ...by,
        ...answer,
        items: answer.items.map((item) => ({ ...item, ...titleOf(item.id) })),
      }));
      expectSame(await ask(`${url}/v1/scores`, { users: USERS, items }), { users: scores });
      expectSame(await ask(`${url}/v1/scores`, { ...USERS[0], items: ["v5"] }), {
        ...scores[0],
        items: scores[0]!.items.slice(0, 1),
        unknown: [],
      });
      for (const item of ["v3", "zz", "a/b"]) {
        const { similar, known } = await model.similar(item, { top: 3 });
        expectSame(await ask(`${url}/v1/items/${encodeURIComponent(item)}/similar?top=3`), {
          ...by,
          item,
          ...(known && titleOf(model.items.idOf(item))),
          known,
          similar: similar.map((other) => ({ ...other, ...titleOf(other.id) })),
          unknown: known ? [] : [{ field: "id", value: item }],
        });
      }
      const described = (await ask(`${url}/v1/models`)).body.models[0];
      assert.equal([described.items, described.share, described.id], [9, 100, model.id]);
      assert.equal(described.features, [{ name: "user_id", kind: "categorical", multiple: false }]);
      assert.equal(described.click, [{ name: "item", multiple: false }]);
    });
  });
});

served("a user feature with several values is an array, as in the library", async () => {
  await withFolder(async (folder) => {
    const at = (name: string) => `${folder}/${name}`;
    const columns = [{ name: "user_id" }, { name: "languages", multiple: true }, { name: "clicks" }];
    const schema = parseSchema({ columns, click: [{ name: "item" }] });
    const lines = Array.from({ length: 90 }, (_, u) => `u${u}\t${u % 2 ? "en_fr" : "de"}\tv${u % 9};v${(u + 1) % 9}\n`);
    await writeFile(at("log.tsv"), lines.join(""));
    await prepareDataset({ logs: [at("log.tsv")], output: at("dataset"), schema, featureAppearLimit: 0 });
    await train({ dataset: at("dataset"), output: at("model"), set: SMALL, steps: 2, threads: 1 });
    using model = await openModel(at("model"), { threads: 1 });
    await withService({ models: { default: at("model") } }, async ({ url }) => {
      const user = { features: { languages: ["en", "fr", "xx"] }, history: ["v1"] };
      const { status, body } = await ask(`${url}/v1/shortlists`, { ...user, top: 5 });
      assert.is(status, 200, JSON.stringify(body));
      const expected = await model.recommend(user, { top: 5 });
      assert.equal([body.items, body.unknown], [expected.items, expected.unknown]);
      assert.is(expected.unknown.length, 1);
      const [described] = (await ask(`${url}/v1/models`)).body.models;
      assert.equal(described.features[1], { name: "languages", kind: "categorical", multiple: true });
      assert.equal(described.columns, schema.columns);
    });
  });
});

served("items are found by words of titles and tokens, the most popular first", async () => {
  await withSmallModel(async (at) => {
    await giveTitles(at("model"), at("titled"));
    using model = await openModel(at("titled"), { threads: 1 });
    const [last, popular] = [model.items.token(9), model.items.token(1)];
    await withService({ models: { default: at("titled") } }, async ({ url }) => {
      const find = async (query: string, top = 10) => {
        const { status, body } = await ask(`${url}/v1/items?query=${encodeURIComponent(query)}&top=${top}`);
        assert.is(status, 200);
        return body.items.map(({ item }: { item: string }) => item);
      };
      assert.equal(await find("CAFE"), model.items.tokens.slice(1, 9));
      assert.equal(await find("cafe", 2), model.items.tokens.slice(1, 3));
      assert.equal(await find(`le ${popular}`), [popular]);
      assert.equal(await find(last), [last]);
      assert.equal(await find("v"), model.items.tokens.slice(1));
      for (const nothing of ["tea", " ", `${last} cafe`, "é\ncafé tea"]) assert.equal(await find(nothing), []);
    });
  });
});

served("users are assigned to models by their ids, and every answer and message names the right user", async () => {
  await withSmallModel(async (at) => {
    using model = await openModel(at("model"), { threads: 1 });
    const models = { first: at("model"), second: at("model") };
    const assignment = new Assignment(["first", "second"], { second: 40 });
    await withService({ models, shares: { second: 40 } }, async ({ url }) => {
      const users = Array.from({ length: 100 }, (_, u) => ({
        features: { user_id: `u${u}` },
        history: [`v${u % 9}`, `none${u}`],
      }));
      const { body } = await ask(`${url}/v1/shortlists`, { users, top: 3 });
      const expected = await model.recommend(users, { top: 3 });
      for (const [u, answer] of body.users.entries()) {
        assert.is(answer.model.name, assignment.modelOf(`u${u}`));
        assert.equal(answer.items, expected[u]!.items);
        assert.equal(answer.unknown, [{ field: `users[${u}].history[1]`, value: `none${u}` }]);
        const alone = await ask(`${url}/v1/shortlists`, { ...users[u], top: 3 });
        assert.equal(alone.body.model, answer.model);
        const wrong = users.map((user, other) => (other === u ? { ...user, history: [{ item: 5 }] } : user));
        const refused = await ask(`${url}/v1/shortlists`, { users: wrong });
        assert.is(refused.status, 400);
        assert.ok(refused.body.error.message.startsWith(`Expected users[${u}].history[0].item to be the token`));
      }
      const named = await ask(`${url}/v1/shortlists`, { users, model: "second", top: 1 });
      assert.ok(named.body.users.every(({ model }: { model: { name: string } }) => model.name === "second"));
      const items = await ask(`${url}/v1/items/v1/similar?model=second`);
      assert.is(items.body.model.name, "second");
      assert.is((await ask(`${url}/v1/items?query=v1`)).body.model.name, "first");
    });
  });
});

test("shares are exact for many users, and a growing share of the second model loses none", () => {
  const [small, large] = [10, 30].map((next) => new Assignment(["now", "next", "old"], { next, old: 20 }));
  const users = Array.from({ length: 20_000 }, (_, u) => `user ${u}`);
  const count = (model: string) => users.filter((user) => small!.modelOf(user) === model).length / users.length;
  for (const [model, share] of Object.entries({ now: 0.7, next: 0.1, old: 0.2 })) {
    assert.ok(Math.abs(count(model) - share) < 0.01, `${model} has ${count(model)}`);
    assert.is(small!.shareOf(model), Math.round(100 * share));
  }
  for (const user of users) if (small!.modelOf(user) === "next") assert.is(large!.modelOf(user), "next");
  assert.is(small!.modelOf(undefined), "now");
  // The assignment must never change, since users would see another model.
  assert.equal(
    ["u1", "u2", "u3", "Ünï"].map((user) => new Assignment(["a", "b"], { b: 50 }).modelOf(user)),
    ["a", "b", "b", "b"],
  );
});

served("the examples of docs/serve.md are answered", async () => {
  const text = readFileSync(new URL("../../docs/serve.md", import.meta.url), "utf8");
  const commands = [...text.replaceAll("\\\n", "").matchAll(/^curl (.*)$/gm)].map(([, words]) => words!);
  assert.ok(commands.length >= 12);
  await withSmallModel(async (at) => {
    await withService({ models: { default: at("model") } }, async ({ url }) => {
      const routes = new Set<string>();
      for (const command of commands) {
        const path = /http:\/\/127\.0\.0\.1:8080([^\s']*)/.exec(command)![1]!;
        const body = /-d '([^']*)'/.exec(command)?.[1] ?? (command.includes("-X POST") ? "" : undefined);
        const { status, body: answer } = await ask(`${url}${path}`, body);
        assert.is(status, 200, `${command}: ${JSON.stringify(answer)}`);
        routes.add(path.split("?")[0]!.replace("/items/v1/", "/items/{id}/"));
      }
      const { paths } = (await ask(`${url}/openapi.json`)).body;
      assert.equal(
        Object.keys(paths).filter((path) => !routes.has(path)),
        [],
      );
    });
  });
});

served("the OpenAPI document is valid, and its page needs no network", async () => {
  const { Validator } = await import("@seriousme/openapi-schema-validator");
  await withSmallModel(async (at) => {
    await withService({ models: { default: at("model") }, token: "secret-token" }, async ({ url }) => {
      const { body } = await ask(`${url}/openapi.json`);
      const { valid, errors } = await new Validator().validate(body);
      assert.ok(valid, JSON.stringify(errors));
      assert.is(body.openapi, "3.1.0");
      assert.equal(body.security, [{ token: [] }]);
      // Generators of clients name their functions by these.
      const operations = Object.values(body.paths).flatMap((path) => Object.values(path as object));
      const ids = operations.map(({ operationId }) => operationId);
      assert.ok(ids.includes("recommend") && ids.includes("similar"));
      assert.ok(ids.every((id) => /^[a-z][A-Za-z]+$/.test(id)) && new Set(ids).size === ids.length, ids.join());
      const page = await ask(`${url}/docs`);
      assert.is(page.status, 200);
      const files = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file as string);
      assert.ok(files.length >= 4);
      for (const file of files) {
        assert.ok(file.startsWith("/docs/"), file);
        assert.is((await ask(`${url}${file}`)).status, 200, file);
      }
    });
  });
});

test.run();
