import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Switchboard } from "../harness/switchboard.ts";
import { head, listen, newMessages, saw, send, signIn } from "./chat.ts";
import type { Connect, ConnectOptions, TestClient } from "./clients/client.ts";
import { connectGraphQLWs } from "./clients/graphql-ws.ts";
import { libraries, named } from "./clients/libraries.ts";

let server: Switchboard;
let clients: TestClient[];
let ada: TestClient;
let start: string;

beforeEach(async () => {
  clients = [];
  server = await Switchboard.start();
  const reader = opened(connectGraphQLWs);
  ada = opened(connectGraphQLWs, { token: await signIn(reader, "Ada") });
  start = await head(reader);
});

afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await server.destroy();
});

function opened(connect: Connect, options?: ConnectOptions): TestClient {
  const client = connect(server, options);
  clients.push(client);
  return client;
}

async function restart(): Promise<void> {
  await server.stop();
  await server.startAgain();
}

test("a cursor from before a restart delivers what was missed, then what is new", async () => {
  const firstVisit = opened(connectGraphQLWs);
  const before = listen(firstVisit, start);
  await send(ada, "seen");
  await before.recorder.until(saw("seen"));
  await firstVisit.close();

  await send(ada, "missed before");
  await restart();
  await send(ada, "missed after");
  const cursor = before.recorder.seen.at(-1)?.cursor ?? "no cursor";
  const { recorder } = listen(opened(connectGraphQLWs), cursor);
  await recorder.until(saw("missed after"));
  await send(ada, "live");
  await recorder.until(saw("live"));

  expect(texts(recorder.seen)).toEqual(["missed before", "missed after", "live"]);
});

describe.each(named(libraries))("%s", (_name, { connect, resumes }) => {
  test("an open subscription goes on", async () => {
    await goesOn(connect, newMessages);
  });

  if (resumes === "any document") {
    test("also with a literal `after`", async () => {
      await goesOn(
        connect,
        newMessages.replace(", $after: Cursor", "").replace("$after", `"${start}"`),
      );
    });
  }
});

async function goesOn(connect: Connect, document: string): Promise<void> {
  const { promise: reopened, resolve: reopen } = promiseWithResolve();
  const listener = opened(connect, { beforeRetry: () => reopened });
  const { recorder } = listen(listener, start, document);
  await send(ada, "before");
  await recorder.until(saw("before"));

  await restart();
  await send(ada, "missed");
  reopen();
  await recorder.until(saw("missed"));
  await send(ada, "live");
  await recorder.until(saw("live"));

  expect(texts(recorder.seen)).toEqual(["before", "missed", "live"]);
}

function texts(messages: readonly { readonly text: string }[]): string[] {
  return messages.map(({ text }) => text);
}

function promiseWithResolve() {
  let resolve!: () => void;
  const promise = new Promise<void>((fulfil) => {
    resolve = fulfil;
  });
  return { promise, resolve };
}
