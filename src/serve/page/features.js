import { byId, debounced, element } from "./dom.js";

/**
 * @typedef {import("./api.js").ModelInfo} ModelInfo
 * @typedef {Readonly<Record<string, string | number | readonly string[]>>} Features
 */

const WAIT_MS = 250;

/** The form with the features of the user that the models read. */
export class FeatureForm {
  #form = byId("features", HTMLFormElement);

  /** @param {() => void} changed */
  constructor(changed) {
    this.#form.addEventListener("input", debounced(WAIT_MS, changed));
    this.#form.addEventListener("submit", (event) => event.preventDefault());
  }

  /**
   * Shows a field for each feature of these models. Values stay.
   *
   * @param {readonly ModelInfo[]} models
   */
  show(models) {
    const features = new Map(models.flatMap(({ features }) => features.map((feature) => [feature.name, feature])));
    const before = this.#values();
    this.#form.replaceChildren(
      ...[...features.values()].map(({ name, kind, multiple }) =>
        element(
          "label",
          {},
          name.replaceAll("_", " "),
          element("input", {
            name,
            type: "text",
            inputmode: kind === "number" ? "decimal" : "text",
            placeholder: placeholderOf(kind, multiple),
            spellcheck: "false",
            autocapitalize: "none",
          }),
        ),
      ),
    );
    this.fill(before);
    byId("features-panel", HTMLElement).hidden = features.size === 0;
  }

  /** @param {Readonly<Record<string, string>>} values */
  fill(values) {
    for (const input of this.#inputs()) input.value = values[input.name] ?? "";
  }

  /** Opens the panel, so that filled fields are seen. */
  reveal() {
    byId("features-panel", HTMLDetailsElement).open = true;
  }

  /**
   * The features that a model reads and that have a value. What is no number stays text, which the service refuses with
   * the name of the feature.
   *
   * @param {ModelInfo} model
   * @returns {Features}
   */
  valuesFor({ features }) {
    const values = this.#values();
    /** @type {Record<string, string | number | readonly string[]>} */
    const given = {};
    for (const { name, kind, multiple } of features) {
      const text = values[name] ?? "";
      if (text === "") continue;
      if (kind === "tokens" || multiple) {
        given[name] = text
          .split(";")
          .map((value) => value.trim())
          .filter((value) => value !== "");
        continue;
      }
      const number = Number(text);
      given[name] = kind === "number" && text.trim() !== "" && Number.isFinite(number) ? number : text;
    }
    return given;
  }

  #inputs() {
    return [...this.#form.querySelectorAll("input")];
  }

  /** @returns {Record<string, string>} */
  #values() {
    return Object.fromEntries(this.#inputs().map(({ name, value }) => [name, value]));
  }
}

/**
 * @param {string} kind
 * @param {boolean | undefined} multiple
 */
function placeholderOf(kind, multiple) {
  if (kind === "number") return "a number";
  if (kind === "tokens") return "searches, separated by ;";
  return multiple ? "values, separated by ;" : "";
}
