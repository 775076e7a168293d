import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Switchboard } from "../harness/switchboard.ts";
import { head, history } from "./chat.ts";
import type { TestClient } from "./clients/client.ts";
import { connectGraphQLWs } from "./clients/graphql-ws.ts";

// gql, the client for Python. `python/client.py` runs a scenario and prints what happened.

const folder = join(import.meta.dirname, "python");
// scripts/setup.sh creates the virtual environment.
const python = join(folder, ".venv/bin/python");
const runWithinMs = 50_000;
const subscribersCount = 3;
const messagesCount = 301;
const run = promisify(execFile);

interface Line {
  readonly by?: number;
  readonly received?: string;
}

let server: Switchboard;
let reader: TestClient;

beforeAll(async () => {
  // Lets a test wait for several `ka` messages.
  server = await Switchboard.start(["--heartbeat-interval", "100ms"]);
  reader = connectGraphQLWs(server);
});

afterAll(async () => {
  await reader.close();
  await server.destroy();
});

async function scenario(name: string, transport: string): Promise<Line[]> {
  const program = [join(folder, "client.py"), name, transport, server.http, server.webSocket];
  const { stdout } = await run(python, program, { timeout: runWithinMs });
  const lines = stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Line);
}

describe.each([
  ["websockets", "graphql-transport-ws"],
  ["websockets", "graphql-ws"],
  ["aiohttp", "graphql-transport-ws"],
  ["aiohttp", "graphql-ws"],
])("gql over %s with %s", (library, subprotocol) => {
  const transport = `${library}/${subprotocol}`;

  test("every subscriber receives every message once and in order", async () => {
    const start = await head(reader);
    const lines = await scenario("fan-out", transport);
    const stored = (await history(reader, start)).map(({ text }) => text);
    expect(stored).toHaveLength(messagesCount);
    for (let number = 0; number < subscribersCount; number++) {
      const seen = lines.filter(({ by }) => by === number).map(({ received }) => received);
      expect(seen).toEqual(stored);
    }
  });

  test("refused operations are query errors, and the socket goes on", async () => {
    expect(await scenario("refusals", transport)).toEqual([
      { received: "before" },
      { refused: "GRAPHQL_VALIDATION_FAILED" },
      { refused: "NOT_FOUND" },
      { refused: "NOT_FOUND" },
      { received: "after" },
    ]);
  });

  test("keepalive messages arrive on a silent socket, and it goes on", async () => {
    expect(await scenario("keepalive", transport)).toEqual([{ received: "still here" }]);
  });

  test("an invalid token is refused", async () => {
    // Only the legacy dialect has a message that tells the reason; the other closes the socket.
    const failed =
      subprotocol === "graphql-ws" ? "TransportServerError" : "TransportConnectionFailed";
    expect(await scenario("invalid-token", transport)).toEqual([{ failed }]);
  });
});

describe("gql over HTTP", () => {
  test("a batch is answered in its order, and a refused one is a query error", async () => {
    expect(await scenario("batch", "http")).toEqual([
      { sent: "a" },
      { sent: "b" },
      { refused: "GRAPHQL_VALIDATION_FAILED" },
    ]);
  });

  test("an invalid token is refused", async () => {
    expect(await scenario("invalid-token", "http")).toEqual([{ failed: "TransportQueryError" }]);
  });
});
