import { totalmem } from "node:os";
import { ShortlistError } from "../errors.js";
import { countElements } from "../graph/dims.js";
import { type Program, storedTensors } from "../graph/program.js";

const BYTES_PER_ELEMENT = 4;

/**
 * Throws ERR_CONFIG if the stored tensors of a Program (weights and optimizer state) need more memory than there is.
 * Without this check, the system may grant more memory than it has and later kill the process without an error message.
 */
export function checkMemory(program: Program, available = totalMemory()): void {
  const tensors = storedTensors(program).map(({ name, shape }) => ({
    label: `"${name}" [${shape.join(", ")}]`,
    bytes: BYTES_PER_ELEMENT * countElements(shape, {}),
  }));
  const needed = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  if (needed <= available) return;
  const largest = tensors.reduce((a, b) => (b.bytes > a.bytes ? b : a));
  throw new ShortlistError(
    "ERR_CONFIG",
    `The weights and the optimizer's state need ${formatGib(needed)} but there are ${formatGib(available)} of memory. The largest is ${largest.label}: lower its widths`,
  );
}

/** Bytes of memory of the container, if it has a limit, or else of the machine. */
function totalMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

function formatGib(bytes: number): string {
  return `${(bytes / 2 ** 30).toPrecision(3)} GiB`;
}
