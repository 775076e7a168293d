// Builds into a temporary folder and compares the result with the committed `dist` byte for byte.
import { readdir, readFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { build } from "vite";

const webFolder = resolve(import.meta.dirname, "..");
const committedFolder = join(webFolder, "dist");

/** @param {string} folder @returns {Promise<Map<string, Buffer>>} */
async function contentsOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((e) => join(e.parentPath, e.name));
  const files = paths.map(
    async (path) => /** @type {const} */ ([relative(folder, path), await readFile(path)]),
  );
  return new Map(await Promise.all(files));
}

/** @param {Map<string, Buffer>} committed @param {Map<string, Buffer>} built */
function differences(committed, built) {
  const missing = [...built.keys()].filter((path) => !committed.has(path));
  const stale = [...committed].filter(([path, bytes]) => !built.get(path)?.equals(bytes));
  return [
    ...missing.map((path) => `missing: ${path}`),
    ...stale.map(([path]) => `${built.has(path) ? "differs" : "left over"}: ${path}`),
  ];
}

const builtFolder = await mkdtemp(join(tmpdir(), "switchboard-dist-"));
try {
  await build({ root: webFolder, logLevel: "warn", build: { outDir: builtFolder } });
  const found = differences(await contentsOf(committedFolder), await contentsOf(builtFolder));
  if (found.length > 0) {
    console.error(`web/dist is stale, run \`npm run build\`:\n  ${found.join("\n  ")}`);
    process.exitCode = 1;
  } else {
    console.log("web/dist is up to date with its sources.");
  }
} finally {
  await rm(builtFolder, { recursive: true, force: true });
}
