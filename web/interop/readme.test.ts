import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { createSwitchboard } from "@switchboard/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Project } from "../harness/client-package.ts";
import { exampleHost, examples } from "../harness/examples.ts";
import { Program } from "../harness/program.ts";
import { Switchboard } from "../harness/switchboard.ts";

/**
 * Runs the README's examples unchanged. An example to run has a comment before its fence:
 * `<!-- run: follow -->` for a program that follows a room with the client package,
 * `<!-- run: apollo -->` for an ES module that ends, `<!-- run: curl -->` for a shell script. Only
 * the address is replaced, by the address of a server with an empty database.
 */

const readme = await readFile(resolve(import.meta.dirname, "../../README.md"), "utf8");
// Inside this package, so that the example finds its imports as in an application.
const scratchFolder = join(import.meta.dirname, "out");
const runWithinMs = 20_000;
const run = promisify(execFile);

let server: Switchboard;
let project: Project;

beforeAll(async () => {
  [server, project] = await Promise.all([
    Switchboard.start(),
    Project.create(["graphql", "@apollo/client"]),
  ]);
  await mkdir(scratchFolder, { recursive: true });
});

afterAll(async () => {
  await project.destroy();
  await server.destroy();
});

describe("README", () => {
  test.each(examples(readme, "apollo"))("Apollo example %i", async (number, code) => {
    const file = join(scratchFolder, `readme-${number}.mjs`);
    await writeFile(file, code.replaceAll(exampleHost, server.host));
    expectSense(await run(process.execPath, [file], { timeout: runWithinMs }));
  });

  test.each(examples(readme, "curl"))("curl example %i", async (_number, code) => {
    const script = code.replaceAll(exampleHost, server.host);
    expectSense(await run("sh", ["-eu", "-c", script], { timeout: runWithinMs }));
  });

  describe.each(examples(readme, "follow"))("program %i", (number, code) => {
    // Node 20 has a WebSocket only with this flag. Without it, the program uses an event stream.
    test.each([["without a WebSocket"], ["with a WebSocket", "--experimental-websocket"]])(
      "loses and repeats nothing over kill -9, %s",
      async (_what, ...flags) => {
        const text = code.replaceAll(exampleHost, server.host);
        const file = await project.write(`readme-${number}.js`, text);
        const program = new Program([...flags, file]);
        try {
          await followOverKills(program);
        } finally {
          await program.stop();
        }
      },
    );
  });
});

const killsCount = 3;
const messagesPerKill = 40;

/** Two users send messages while the server is killed. Compares the output with the log. */
async function followOverKills(program: Program): Promise<void> {
  const start = await head();
  await program.printed("Hello from Apollo");
  const senders = await Promise.all(["Bob", "Cy"].map(signedIn));
  for (let kill = 1; kill <= killsCount; kill += 1) {
    const sent = senders.map(async (send, who) => {
      for (let number = 1; number <= messagesPerKill; number += 1) {
        await send(`message ${kill}.${who}.${number}`);
      }
    });
    await program.printed(`message ${kill}.0.10`);
    await server.kill();
    await server.startAgain();
    await Promise.all(sent);
  }
  await senders[0]?.("last");
  await program.printed("last");
  const expected = await log(start);
  expect(expected).toHaveLength(2 + killsCount * senders.length * messagesPerKill);
  expect(program.lines).toEqual(expected);
  expect(program.errors).toBe("");
}

function open(token: string | null = null) {
  return createSwitchboard({ url: server.http, token, backoff: { maxMs: 200 } });
}

async function signedIn(name: string) {
  const { signIn } = await open().run<{ signIn: { token: string } }>(
    "mutation ($name: String!) { signIn(name: $name) { token } }",
    { name },
  );
  const client = open(signIn.token);
  const document = `mutation ($text: String!) {
    sendMessage(roomId: "room-1", text: $text, nonce: $text) { id }
  }`;
  return (text: string) => client.run(document, { text });
}

interface Page {
  readonly messages: {
    readonly nodes: readonly {
      readonly text: string;
      readonly sender: { readonly name: string };
    }[];
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  };
}

async function head(): Promise<string> {
  const { room } = await open().run<{ room: { head: string } }>('{ room(id: "room-1") { head } }');
  return room.head;
}

/** The messages after `cursor`, as the program prints them. */
async function log(cursor: string): Promise<string[]> {
  const lines: string[] = [];
  let after: string | null = cursor;
  while (after !== null) {
    const { messages }: Page = await open().run<Page>(
      `query ($after: Cursor) {
        messages(roomId: "room-1", first: 100, after: $after) {
          nodes { text sender { name } }
          pageInfo { hasNextPage endCursor }
        }
      }`,
      { after },
    );
    lines.push(...messages.nodes.map(({ text, sender }) => `${sender.name}: ${text}`));
    after = messages.pageInfo.hasNextPage ? messages.pageInfo.endCursor : null;
  }
  return lines;
}

/** Checks the output. `run` has already rejected if the exit code was not 0. */
function expectSense({ stdout }: { readonly stdout: string }): void {
  expect(stdout.trim()).not.toBe("");
  expect(stdout).not.toMatch(/"errors"|\bundefined\b|<!doctype/i);
}
