import { nearestName, type ShortlistError } from "../errors.js";
import { requestError, unknownFieldError } from "../model/requests/values.js";
import type { SchemaError } from "./packages.js";

const PARTS: Readonly<Record<string, string>> = { body: "the body", querystring: "the query", params: "the path" };
const TYPES: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  object: "an object",
  array: "an array",
  null: "null",
};

/** Turns what a JSON schema says against a request into ERR_REQUEST, with the place and the value. */
export function describeInvalid(errors: readonly SchemaError[], part: string): ShortlistError {
  const { keyword, instancePath, params, parentSchema = {}, data, message } = errors.at(-1)!;
  const place = placeOf(instancePath) || PARTS[part] || part;
  switch (keyword) {
    case "additionalProperties": {
      const names = Object.keys((parentSchema["properties"] as object | undefined) ?? {});
      return unknownFieldError("field", String(params["additionalProperty"]), place, names);
    }
    case "required":
      return requestError(placeOf(`${instancePath}/${params["missingProperty"]}`), "given", undefined);
    case "type":
      return requestError(place, expectedType(parentSchema), data);
    case "minimum":
    case "maximum":
      return requestError(place, expectedType(parentSchema), data);
    case "maxItems":
    case "minItems": {
      const { minItems = 0, maxItems } = parentSchema as { minItems?: number; maxItems?: number };
      const length = `an array of ${(data as unknown[]).length}`;
      return received(place, `an array of ${minItems} to ${maxItems} elements`, length);
    }
    case "minLength":
    case "maxLength":
      return requestError(
        place,
        `a string of ${parentSchema["minLength"]} to ${parentSchema["maxLength"]} characters`,
        data,
      );
    default:
      return received(place, `valid (${message})`, "what is not");
  }
}

/** Like `requestError`, for a value that is described already. */
function received(place: string, expected: string, description: string): ShortlistError {
  const error = requestError(place, expected, undefined);
  error.message = `Expected ${place} to be ${expected} but received ${description}`;
  return error;
}

/** What the type and the bounds of a schema allow, in words. */
function expectedType({ type, minimum, maximum }: Readonly<Record<string, unknown>>): string {
  const types = ([] as unknown[]).concat(type).map((name) => TYPES[String(name)] ?? String(name));
  const words = types.length > 1 ? `${types.slice(0, -1).join(", ")} or ${types.at(-1)}` : types[0]!;
  return maximum === undefined ? words : `${words} from ${minimum} to ${maximum}`;
}

/** Turns the JSON pointer `/users/0/history` into the name of a place, `users[0].history`. */
function placeOf(pointer: string): string {
  let place = "";
  for (const part of pointer.split("/").slice(1)) {
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (/^\d+$/.test(name) && place !== "") place += `[${name}]`;
    else place += place === "" ? name : `.${name}`;
  }
  return place;
}

/** Returns ERR_REQUEST for a model that the service does not have. */
export function unknownModelError(name: string, names: readonly string[]): ShortlistError {
  const nearest = nearestName(name, names);
  const hint = nearest ? `Did you mean "${nearest}"?` : undefined;
  const error = requestError("model", `one of ${names.join(", ")}`, name);
  if (hint) error.message += `. ${hint}`;
  return error;
}
