/**
 * @typedef {import("./api.js").ModelInfo} ModelInfo
 * @typedef {Readonly<Record<string, string | number | null | readonly string[]>>} ClickAttributes
 * @typedef {{ readonly item: string, readonly attributes?: ClickAttributes }} Click A click, without attributes if they
 *   are those that the model knows.
 * @typedef {{ readonly clicks: Click[], readonly features?: Readonly<Record<string, string>> }} PastedUser
 */

/**
 * Reads a history: an item a line, the oldest first, or the line of a click log, whose columns are separated by tabs.
 * Throws an Error that says what was expected if the text is neither.
 *
 * @param {string} text
 * @param {ModelInfo} model
 * @returns {PastedUser}
 */
export function parseHistory(text, model) {
  const lines = text
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "");
  if (!lines.some((line) => line.includes("\t"))) return { clicks: lines.map((line) => ({ item: line.trim() })) };
  if (lines.length === 1) return parseLogLine(/** @type {string} */ (lines[0]), model);
  throw new Error(`Expected one line of a click log, which is one user, but received ${lines.length} lines`);
}

/**
 * @param {string} line
 * @param {ModelInfo} model
 * @returns {PastedUser}
 */
function parseLogLine(line, { columns, click }) {
  const cells = line.split("\t");
  if (cells.length !== columns.length) {
    const names = columns.map(({ name }) => name).join(", ");
    throw new Error(`Expected ${columns.length} columns (${names}) but received ${cells.length}`);
  }
  /** @type {Record<string, string>} */
  const features = {};
  /** @type {Click[]} */
  let clicks = [];
  for (const [i, { name, kind, multiple }] of columns.entries()) {
    const cell = /** @type {string} */ (cells[i]);
    if (kind === "clicks") clicks = cell === "" ? [] : cell.split(";").map((text, c) => parseClick(text, c, click));
    else if (kind !== "ignore" && cell !== "") features[name] = multiple ? cell.replaceAll("_", "; ") : cell;
  }
  return { clicks, features };
}

/**
 * @param {string} text
 * @param {number} position
 * @param {ModelInfo["click"]} fields
 * @returns {Click}
 */
function parseClick(text, position, fields) {
  const values = text.split(":");
  const names = fields.map(({ name }) => name).join(":");
  if (values.length !== fields.length || values[0] === "") {
    throw new Error(`Expected click ${position + 1} to be ${names} but received "${text}"`);
  }
  /** @type {Record<string, string | number | null | readonly string[]>} */
  const attributes = {};
  for (const [i, { name, multiple, kind }] of fields.entries()) {
    const value = values[i];
    if (kind === "number" && value) {
      // What is no number is sent as it is, so that the service says so.
      attributes[name] = Number.isFinite(Number(value)) ? Number(value) : value;
    }
    if (i === 0 || kind) continue; // of no feature of the item
    if (multiple) attributes[name] = value ? value.split("_") : [];
    else attributes[name] = value || null;
  }
  const item = /** @type {string} */ (values[0]);
  return Object.keys(attributes).length === 0 ? { item } : { item, attributes };
}
