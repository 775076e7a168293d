import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { createSwitchboard } from "@switchboard/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Project } from "../harness/client-package.ts";
import { exampleHost, filesOf } from "../harness/examples.ts";
import { Switchboard } from "../harness/switchboard.ts";

// Runs the program of docs/FRONTEND.md that pages through a room with Apollo Client. Its other
// examples are pages, which run in a browser.

const documentPath = resolve(import.meta.dirname, "../../docs/FRONTEND.md");
const runWithinMs = 20_000;
const olderCount = 70;
const run = promisify(execFile);

let server: Switchboard;
let project: Project;

beforeAll(async () => {
  [server, project] = await Promise.all([
    Switchboard.start(),
    Project.create(["graphql", "@apollo/client", "rxjs"]),
  ]);
});

afterAll(async () => {
  await project.destroy();
  await server.destroy();
});

test("Apollo Client merges the pages of a room, and finds the viewer's own message", async () => {
  const guest = createSwitchboard({ url: server.http });
  const { signIn } = await guest.run<{ signIn: { token: string } }>(
    'mutation { signIn(name: "Bob") { token } }',
  );
  const bob = createSwitchboard({ url: server.http, token: signIn.token });
  const older = Array.from({ length: olderCount }, (_, index) => `message ${index}`);
  for (const text of older) {
    await bob.run(
      'mutation ($text: String!) { sendMessage(roomId: "room-1", text: $text) { id } }',
      { text },
    );
  }
  const [[path, code] = ["", ""]] = filesOf(await readFile(documentPath, "utf8"), "apollo");
  const file = await project.write(path, code.replaceAll(exampleHost, server.host));
  const { stdout } = await run(process.execPath, [file], { timeout: runWithinMs });
  expect(stdout.trim().split("\n")).toEqual([...older, "Hello from Ada (just sent)"]);
});
