import { resolve } from "node:path";
import { expect, type Page, test } from "@playwright/test";
import { build, type Rolldown } from "vite";
import { Switchboard } from "../harness/switchboard.ts";

// The client package in a browser: its own WebSocket, event streams by fetch, and network events.

const entry = resolve(import.meta.dirname, "../../packages/client/src/index.ts");

let server: Switchboard;
let token: string;
let script: string;

test.beforeAll(async () => {
  const built = await build({
    configFile: false,
    logLevel: "warn",
    build: { write: false, lib: { entry, formats: ["iife"], name: "SwitchboardClient" } },
  });
  const [{ output }] = built as [Rolldown.RolldownOutput];
  script = output[0].code;
});

test.beforeEach(async () => {
  server = await Switchboard.start();
  token = "";
  const data = await post('mutation { signIn(name: "Ada") { token } }');
  ({ token } = (data as { signIn: { token: string } }).signIn);
});

test.afterEach(async () => {
  await server.destroy();
});

async function post(query: string): Promise<unknown> {
  const response = await fetch(server.http, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query }),
  });
  return ((await response.json()) as { data: unknown }).data;
}

async function send(...texts: string[]): Promise<void> {
  for (const text of texts) {
    await post(`mutation { sendMessage(roomId: "room-1", text: "${text}") { id } }`);
  }
}

/** A page of the server that follows the room with the package. */
class Follower {
  readonly #page: Page;

  private constructor(page: Page) {
    this.#page = page;
  }

  static async open(page: Page, transport: string): Promise<Follower> {
    await page.goto(`${server.origin}/graphiql`);
    await page.evaluate(script);
    await page.evaluate(`
      window.seen = [];
      window.statuses = [];
      const { createSwitchboard, followRoom } = SwitchboardClient;
      window.client = createSwitchboard({
        url: "graphql",
        transports: [${JSON.stringify(transport)}],
        backoff: { firstMs: 100, maxMs: 300 },
        onState: ({ status }) => statuses.push(status),
      });
      followRoom(client, "room-1", {
        onState: ({ messages }) => (window.seen = messages.map(({ text }) => text)),
      });
    `);
    return new Follower(page);
  }

  async sees(...texts: string[]): Promise<void> {
    await expect.poll(() => this.#page.evaluate("window.seen")).toEqual(texts);
  }

  async reaches(status: string): Promise<void> {
    await expect.poll(() => this.#page.evaluate("window.statuses.at(-1)")).toBe(status);
  }
}

for (const transport of ["websocket", "sse", "poll"]) {
  test(`a page continues after kill -9 over ${transport}`, async ({ page }) => {
    await send("old");
    const follower = await Follower.open(page, transport);
    await follower.reaches("live");
    await send("one", "two");
    await follower.sees("old", "one", "two");
    await server.kill();
    await follower.reaches("reconnecting");
    await server.startAgain();
    await send("three", "four");
    await follower.sees("old", "one", "two", "three", "four");
    await follower.reaches("live");
  });
}

test("a page without a network is offline, and continues when the network returns", async ({
  page,
  context,
}) => {
  const follower = await Follower.open(page, "sse");
  await follower.reaches("live");
  await context.setOffline(true);
  await server.kill();
  await follower.reaches("offline");
  await server.startAgain();
  await send("missed");
  await context.setOffline(false);
  await follower.sees("missed");
  await follower.reaches("live");
});
