import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { examples } from "../harness/examples.ts";
import { executable } from "../harness/switchboard.ts";

// Runs the examples of docs/TESTING.md unchanged. They find the executable in the PATH.

const documentPath = resolve(import.meta.dirname, "../../docs/TESTING.md");
const runWithinMs = 20_000;
const run = promisify(execFile);

const document = await readFile(documentPath, "utf8");
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "switchboard-testing-"));
  await symlink(executable(), join(folder, "switchboard"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("docs/TESTING.md", () => {
  test.each([
    ["testing-node", process.execPath, "example.mjs"],
    ["testing-python", "python3", "example.py"],
  ])("%s", async (name, program, file) => {
    const code = examples(document, name).map(([, text]) => text);
    await writeFile(join(folder, file), code.join("\n"));
    const { stdout } = await run(program, [file], {
      cwd: folder,
      env: { ...process.env, PATH: `${folder}${delimiter}${process.env["PATH"] ?? ""}` },
      timeout: runWithinMs,
    });
    expect(stdout).toBe("passed\n");
  });
});
