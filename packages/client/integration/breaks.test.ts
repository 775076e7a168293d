import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Switchboard as Client, TransportName } from "@switchboard/client";
import { BreakingProxy } from "../../../web/harness/breaking-proxy.ts";
import { seeded } from "../../../web/harness/random.ts";
import { Switchboard } from "../../../web/harness/switchboard.ts";
import { Clients, head, log, send } from "./chat.ts";
import { listen } from "./received.ts";

const transports: TransportName[] = ["websocket", "sse", "poll"];
const messagesPerSender = 100;

let clients: Clients;
let server: Switchboard;

beforeEach(async () => {
  clients = new Clients();
  server = await Switchboard.start();
});

afterEach(async () => {
  clients.close();
  await server.destroy();
});

/** Two clients send at the same time, each one message after the other. `between` runs after each. */
async function sendAll(between: (sent: number) => Promise<void> = () => Promise.resolve()) {
  const senders = await Promise.all(["Ada", "Bob"].map((name) => clients.signedIn(server, name)));
  await Promise.all(
    senders.map(async (sender, who) => {
      for (let number = 1; number <= messagesPerSender; number += 1) {
        await send(sender, `${who}:${number}`);
        if (who === 0) await between(number);
      }
    }),
  );
  const [first] = senders;
  if (!first) throw new Error("there is no sender");
  await send(first, "last");
  return first;
}

async function expectTheLog(client: Client, start: string, texts: readonly string[]) {
  const expected = await log(client, start);
  expect(expected).toHaveLength(2 * messagesPerSender + 1);
  expect(texts).toEqual(expected);
}

describe.each(transports)("over %s", (transport) => {
  test.each([1, 2, 3])(
    "connections that break at random bytes lose nothing, seed %i",
    async (seed) => {
      const random = seeded(seed);
      const breaks = { random, bytesMax: 3_000, breaksMax: 20 };
      const proxy = await BreakingProxy.start(server.port, breaks);
      try {
        const start = await head(clients.open(server));
        const reader = clients.open(proxy, { transports: [transport], random });
        const received = listen(reader, start);
        const sender = await sendAll();
        await received.saw("last");
        await expectTheLog(sender, start, received.texts);
        expect(proxy.breaksCount).toBeGreaterThanOrEqual(3);
      } finally {
        await proxy.stop();
      }
    },
  );

  test("kill -9 of the server loses nothing", async () => {
    const start = await head(clients.open(server));
    const received = listen(clients.open(server, { transports: [transport] }), start);
    const sender = await sendAll(async (sent) => {
      if (sent % 25 !== 0) return;
      await server.kill();
      await server.startAgain();
    });
    await received.saw("last");
    await expectTheLog(sender, start, received.texts);
  });

  test("a shutdown of the server loses nothing", async () => {
    const start = await head(clients.open(server));
    const received = listen(clients.open(server, { transports: [transport] }), start);
    const sender = await sendAll(async (sent) => {
      if (sent % 50 !== 0) return;
      await server.stop();
      await server.startAgain();
    });
    await received.saw("last");
    await expectTheLog(sender, start, received.texts);
  });
});
