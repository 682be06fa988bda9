import { itemFeatures, userFeatures } from "../../src/data/schema.js";
import { type Model, readLog, type UserRequest } from "../../src/index.js";

/** The users of a log as requests with all that the log says of them but the times of clicks. */
export async function requestsOf(model: Model, log: string): Promise<UserRequest[]> {
  const { schema } = model.description;
  const [features, fields] = [userFeatures(schema), itemFeatures(schema)];
  const users: UserRequest[] = [];
  await readLog([log], { schema, withoutClicks: true }, ({ tokens, numbers, clicks }) => {
    const [token, number] = [tokens.values(), numbers.values()];
    const values = features.map(({ name, kind }) => {
      if (kind === "categorical") return [name, token.next().value ?? null];
      const value = number.next().value as number;
      return [name, Number.isNaN(value) ? null : value];
    });
    const history = clicks.map((click) =>
      Object.fromEntries(fields.map(({ name }, f) => [name, f === 0 ? (click[f] ?? "<unk>") : click[f]!])),
    );
    users.push({ features: Object.fromEntries(values), history });
  });
  return users;
}
