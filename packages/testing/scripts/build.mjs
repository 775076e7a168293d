// Writes dist/: the modules without types, and their declarations. Copies the licences beside it.
import { execFileSync } from "node:child_process";
import { copyFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";

const folder = resolve(import.meta.dirname, "..");
const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));

rmSync(join(folder, "dist"), { recursive: true, force: true });
execFileSync(process.execPath, [join(typescript, "bin/tsc"), "-p", "tsconfig.build.json"], {
  cwd: folder,
  stdio: "inherit",
});

for (const name of ["LICENSE-APACHE", "LICENSE-MIT"]) {
  copyFileSync(join(folder, "../..", name), join(folder, name));
}
