// Copies the pages (src/serve/page, src/report/page) to where the compiled code reads them (dist/serve/page, …).

import { cpSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

for (const page of ["serve/page", "report/page"]) {
  const [from, to] = ["src", "dist"].map((folder) => fileURLToPath(new URL(`../${folder}/${page}`, import.meta.url)));
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true });
}
