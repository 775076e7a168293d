import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Project } from "../../../web/harness/client-package.ts";
import { exampleHost, examples } from "../../../web/harness/examples.ts";
import { Switchboard } from "../../../web/harness/switchboard.ts";
import { Clients, send } from "./chat.ts";

const readme = await readFile(resolve(import.meta.dirname, "../README.md"), "utf8");
const typescript = resolve(import.meta.dirname, "../../../web/node_modules/typescript/bin/tsc");
const runWithinMs = 20_000;
const run = promisify(execFile);

let server: Switchboard;
let project: Project;

beforeAll(async () => {
  const clients = new Clients();
  [server, project] = await Promise.all([
    Switchboard.start(),
    Project.create(["graphql", "graphql-ws", "@apollo/client", "@urql/core", "ws", "react"]),
  ]);
  const ada = await clients.signedIn(server, "Ada");
  await send(ada, "the first message");
  await send(ada, "the second message");
  clients.close();
});

afterAll(async () => {
  await project.destroy();
  await server.destroy();
});

test("the READMEs name the tarball that is packed", async () => {
  const root = await readFile(resolve(import.meta.dirname, "../../../README.md"), "utf8");
  expect(readme).toContain(project.tarballName);
  expect(root).toContain(project.tarballName);
});

test("the tarball holds the modules, their declarations and the README", async () => {
  const files = await project.installed();
  for (const name of ["index", "apollo", "graphql-ws", "react"]) {
    expect(files).toContain(`dist/${name}.js`);
    expect(files).toContain(`dist/${name}.d.ts`);
  }
  for (const name of ["README.md", "LICENSE-APACHE", "LICENSE-MIT"]) expect(files).toContain(name);
  expect(files.filter((file) => /test|integration|\.tgz|(?<!\.d)\.ts$/.test(file))).toEqual([]);
});

test.each(examples(readme, "sample"))(
  "README sample %i runs in a new project, and ends",
  async (number, code) => {
    const text = code.replaceAll(exampleHost, server.host);
    const file = await project.write(`sample-${number}.js`, text);
    const { stdout, stderr } = await run(process.execPath, [file], { timeout: runWithinMs });
    expect(stderr).toBe("");
    expect(stdout.trim()).not.toBe("");
    expect(stdout).not.toMatch(/\bundefined\b/);
  },
);

test("the declarations give documents and results their types", async () => {
  await project.write(
    "types.ts",
    `import { createSwitchboard, followRoom, type ConnectionState } from "@switchboard/client";
     import { SwitchboardLink } from "@switchboard/client/apollo";
     import { resuming } from "@switchboard/client/graphql-ws";
     import { useConnectionState } from "@switchboard/client/react";
     import type { DocumentNode } from "graphql";

     interface Typed<D, V> extends DocumentNode { __apiType?: (variables: V) => D }
     declare const room: Typed<{ room: { name: string } }, { id: string }>;

     const client = createSwitchboard({ url: "/graphql", token: async () => null });
     const name: string = (await client.run(room, { id: "room-1" })).room.name;
     // @ts-expect-error: the variable is missing.
     await client.run(room, {});
     client.subscribe(room, { id: "a" }, {
       next: ({ data }) => { const text: string | undefined = data?.room.name; void text; },
       error: (error: Error) => { void error; },
     });
     for await (const { messages } of followRoom(client, "room-1")) {
       const text: string | undefined = messages[0]?.text;
       void text;
     }
     const state: ConnectionState = useConnectionState(new SwitchboardLink(client).switchboard);
     void [name, state, resuming];`,
  );
  const options = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--skipLibCheck"];
  const target = ["--module", "nodenext", "--target", "es2022", "--lib", "es2023,dom"];
  const file = join(project.folder, "types.ts");
  const { stdout } = await run(
    process.execPath,
    [typescript, ...options, ...target, file],
    // The compiler prints its errors to stdout, which is not in the message of the rejection.
    { cwd: project.folder },
  ).catch((error: unknown) => error as { stdout: string });
  expect(stdout).toBe("");
});
