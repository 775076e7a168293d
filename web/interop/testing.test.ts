import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Project } from "../harness/client-package.ts";
import { filesOf } from "../harness/examples.ts";
import { executable } from "../harness/switchboard.ts";

// Runs the examples of docs/TESTING.md unchanged. They find the executable in the PATH.

const documentPath = resolve(import.meta.dirname, "../../docs/TESTING.md");
const pytest = resolve(import.meta.dirname, "python/.venv/bin/pytest");
const runWithinMs = 50_000;
const run = promisify(execFile);

const document = await readFile(documentPath, "utf8");
let project: Project;
let programs: string;

beforeAll(async () => {
  const others = ["vitest", "jest", "@jest/globals", "graphql"];
  project = await Project.create(others, ["client", "testing"]);
  programs = await mkdtemp(join(tmpdir(), "switchboard-programs-"));
  await symlink(executable(), join(programs, "switchboard"));
});

afterAll(async () => {
  await project.destroy();
  await rm(programs, { recursive: true, force: true });
});

/** Writes the files of a folder of the document. Returns the folder's path. */
async function written(folder: string): Promise<string> {
  for (const [path, code] of filesOf(document, folder)) {
    await project.write(join(folder, path), code);
  }
  return join(project.folder, folder);
}

/** Runs a program that finds `switchboard` in the PATH. Returns all that it printed. */
async function output(program: string, flags: string[], cwd: string, env = {}): Promise<string> {
  const bin = join(resolve(import.meta.dirname, ".."), "node_modules/.bin");
  const path = [programs, bin, process.env["PATH"]].join(delimiter);
  const clean = { ...process.env, SWITCHBOARD_BIN: undefined, PATH: path, NO_COLOR: "1", ...env };
  const { stdout, stderr } = await run(program, flags, { cwd, env: clean, timeout: runWithinMs });
  return stdout + stderr;
}

describe("docs/TESTING.md", () => {
  test("Vitest", async () => {
    const printed = await output("vitest", ["run"], await written("vitest"));
    expect(printed).toMatch(/Tests +2 passed/);
  });

  test("Jest", async () => {
    const folder = await written("jest");
    const flags = { NODE_OPTIONS: "--experimental-vm-modules" };
    const printed = await output("jest", ["--rootDir", folder, "--watchman=false"], folder, flags);
    expect(printed).toMatch(/Tests: +1 passed/);
  });

  test("a subscription with node:test", async () => {
    const printed = await output(process.execPath, ["--test"], await written("node"));
    expect(printed).toMatch(/pass 1\b/);
  });

  test("pytest", async () => {
    const flags = ["-q", "-p", "no:cacheprovider"];
    expect(await output(pytest, flags, await written("pytest"))).toContain("2 passed");
  });

  test("the commands of the workflow", async () => {
    const folder = await written("vitest");
    const workflow = await readFile(join(folder, ".github/workflows/test.yml"), "utf8");
    const commands = [...workflow.matchAll(/- run: (.*)/g)].map(([, command = ""]) => command);
    expect(commands).toHaveLength(3);
    expect(await output("sh", ["-c", commands[0] ?? ""], folder)).toContain("switchboard");
    expect(commands[1]).toBe("npm ci");
    const tests = (commands[2] ?? "").replace("npx ", "");
    expect(await output("sh", ["-c", tests], folder)).toMatch(/Tests +2 passed/);
  });
});
