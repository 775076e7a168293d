import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Switchboard } from "../harness/switchboard.ts";

/**
 * Runs the README's examples unchanged. An example to run has a comment before its fence:
 * `<!-- run: apollo -->` for an ES module, `<!-- run: curl -->` for a shell script. Only the
 * address is replaced, by the address of a server with an empty database.
 */

const readmePath = resolve(import.meta.dirname, "../../README.md");
// Inside this package, so that the example finds its imports as in an application.
const scratchFolder = join(import.meta.dirname, "out");
const defaultHost = /(127\.0\.0\.1|localhost):4000/g;
const runWithinMs = 20_000;
const run = promisify(execFile);

const readme = await readFile(readmePath, "utf8");
let server: Switchboard;

beforeAll(async () => {
  server = await Switchboard.start();
  await mkdir(scratchFolder, { recursive: true });
});

afterAll(async () => {
  await server.destroy();
});

describe("README", () => {
  test.each(examples("apollo"))("Apollo example %i", async (number, code) => {
    const file = join(scratchFolder, `readme-${number}.mjs`);
    await writeFile(file, code.replaceAll(defaultHost, server.host));
    expectSense(await run(process.execPath, [file], { timeout: runWithinMs }));
  });

  test.each(examples("curl"))("curl example %i", async (_number, code) => {
    const script = code.replaceAll(defaultHost, server.host);
    expectSense(await run("sh", ["-eu", "-c", script], { timeout: runWithinMs }));
  });
});

/** The numbered code blocks marked for `runner`. It throws if the README has none. */
function examples(runner: string): [number, string][] {
  const marked = new RegExp(`<!-- run: ${runner} -->\\s*\`\`\`\\w*\\n([\\s\\S]*?)\\n\`\`\``, "g");
  const found = [...readme.matchAll(marked)].map(([, code = ""]) => code);
  if (found.length === 0) throw new Error(`No example marked "run: ${runner}" in ${readmePath}.`);
  return found.map((code, index) => [index + 1, code]);
}

/** Checks the output. `run` has already rejected if the exit code was not 0. */
function expectSense({ stdout }: { readonly stdout: string }): void {
  expect(stdout.trim()).not.toBe("");
  expect(stdout).not.toMatch(/"errors"|\bundefined\b|<!doctype/i);
}
