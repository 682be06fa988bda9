import { clickNumbers, itemFeatures, userFeatures } from "../../src/data/schema.js";
import { type Model, readLog, type UserRequest } from "../../src/index.js";

/** The users of a log as requests with all that the log says of them but the times and weights of clicks. */
export async function requestsOf(model: Model, log: string): Promise<UserRequest[]> {
  const { schema } = model.description;
  const [features, fields, ofClicks] = [userFeatures(schema), itemFeatures(schema), clickNumbers(schema)];
  const known = (number: number) => (Number.isNaN(number) ? null : number);
  const users: UserRequest[] = [];
  await readLog([log], { schema, withoutClicks: true }, ({ tokens, numbers, clicks, clickNumbers: given }) => {
    const [token, number] = [tokens.values(), numbers.values()];
    const values = features.map(({ name, kind }) => {
      if (kind === "categorical") return [name, token.next().value ?? null];
      return [name, known(number.next().value as number)];
    });
    const history = clicks.map((click, i) =>
      Object.fromEntries([
        ...fields.map(({ name }, f) => [name, f === 0 ? (click[f] ?? "<unk>") : click[f]!]),
        ...ofClicks.map((name, f) => [name, known(given![f]![i]!)]),
      ]),
    );
    users.push({ features: Object.fromEntries(values), history });
  });
  return users;
}
