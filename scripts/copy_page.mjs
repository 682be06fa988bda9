// Copies the page of `shortlist serve` (src/serve/page) to where the compiled service reads it (dist/serve/page).

import { cpSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [from, to] = ["src", "dist"].map((folder) => fileURLToPath(new URL(`../${folder}/serve/page`, import.meta.url)));
rmSync(to, { recursive: true, force: true });
cpSync(from, to, { recursive: true });
