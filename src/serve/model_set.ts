import { type PlacedUsers, USER_PLACES } from "../model/requests/places.js";
import type { UserRequest } from "../model/requests/values.js";
import { Assignment } from "./assignment.js";
import type { ModelVersion, ServedModel } from "./served_model.js";
import { unknownModelError } from "./validation.js";

/** Which model answered. */
export interface ModelName {
  readonly name: string;
  readonly id: string | null;
}

/** A request for one user or for many. */
export interface AskedUsers extends UserRequest {
  readonly users?: readonly UserRequest[];
  /** Name of the model that answers for all users. */
  readonly model?: string;
}

/** A call of the library for one user, or for many at their places in the request. */
type Call = (
  version: ModelVersion,
  users: never,
  placed: PlacedUsers,
  served: ServedModel,
) => Promise<object | readonly object[]>;

/** The models of a service, by name. */
export class ModelSet {
  readonly #models: ReadonlyMap<string, ServedModel>;
  readonly #assignment: Assignment;

  constructor(models: readonly ServedModel[], shares: Readonly<Record<string, number>>) {
    this.#models = new Map(models.map((model) => [model.name, model]));
    this.#assignment = new Assignment([...this.#models.keys()], shares);
  }

  get all(): ServedModel[] {
    return [...this.#models.values()];
  }

  shareOf(name: string): number {
    return this.#assignment.shareOf(name);
  }

  /** The model with a name; without one, that of a user. Throws ERR_REQUEST if there is no such model. */
  find(name: string | undefined, userId?: unknown): ServedModel {
    const found = this.#models.get(name ?? this.#assignment.modelOf(userId));
    if (!found) throw unknownModelError(name!, [...this.#models.keys()]);
    return found;
  }

  /**
   * Asks for one user or for many, each of the model that the request names or that the user is assigned to. Answers
   * are in the order of the users and say which model gave them. `onAnswered` is told the number of users of a model.
   */
  async ask(
    { users, model, features, history }: AskedUsers,
    call: Call,
    onAnswered: (model: string, users: number) => void,
  ): Promise<object | readonly object[]> {
    if (users === undefined) {
      const user = { features, history } as never;
      const served = this.find(model, features?.["user_id"]);
      const { name } = served;
      return served.current.use(async (version) => {
        const answer = await call(version, user, {}, served);
        onAnswered(name, 1);
        return { model: { name, id: version.id }, ...answer };
      });
    }
    const groups = new Map<ServedModel, number[]>();
    for (const [place, { features }] of users.entries()) {
      const served = this.find(model, features?.["user_id"]);
      const places = groups.get(served);
      if (places) places.push(place);
      else groups.set(served, [place]);
    }
    const answers: object[] = new Array(users.length);
    await Promise.all(
      [...groups].map(([served, places]) =>
        served.current.use(async (version) => {
          const own = places.map((place) => users[place]!) as never;
          const given = (await call(version, own, { [USER_PLACES]: places }, served)) as readonly object[];
          const by: ModelName = { name: served.name, id: version.id };
          for (const [i, place] of places.entries()) answers[place] = { model: by, ...given[i] };
          onAnswered(served.name, places.length);
        }),
      ),
    );
    return answers;
  }
}
