import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BlockingProxy, type Streams, type Upgrades } from "../../../web/harness/blocking-proxy.ts";
import { Switchboard } from "../../../web/harness/switchboard.ts";
import { Clients, head, log, send } from "./chat.ts";
import { listen } from "./received.ts";
import { States } from "./states.ts";

let clients: Clients;
let server: Switchboard;
let proxy: BlockingProxy;

beforeEach(async () => {
  clients = new Clients();
  // A heartbeat comes sooner than the client gives up.
  server = await Switchboard.start(["--heartbeat-interval", "100ms"]);
  proxy = await BlockingProxy.start(server.port);
});

afterEach(async () => {
  clients.close();
  await proxy.stop();
  await server.destroy();
});

const timeouts = { openMs: 800, silenceMs: 800, pingMs: 800 };

const refusals: Upgrades[] = [400, 426, 502, "hang"];

test.each(refusals)("upgrades that end with %s lead to event streams", async (upgrades) => {
  proxy.upgrades = upgrades;
  const ada = await clients.signedIn(server, "Ada");
  const reader = clients.open(proxy, { timeouts });
  const states = new States(reader);
  const received = listen(reader);
  await states.reached("live", "sse");
  await send(ada, "over the event stream");
  await received.saw("over the event stream");
  // The client asked twice, because the server could have been restarting.
  expect(proxy.upgradesBlocked).toBeGreaterThanOrEqual(2);
});

const bufferings: Streams[] = ["buffer", "buffer after the first bytes"];

test.each(bufferings)(
  "event streams that a proxy keeps (%s) lead to long polls",
  async (streams) => {
    proxy.upgrades = 502;
    proxy.streams = streams;
    const ada = await clients.signedIn(server, "Ada");
    const start = await head(ada);
    const reader = clients.open(proxy, { timeouts });
    const states = new States(reader);
    const received = listen(reader, start);
    await send(ada, "one");
    await states.reached("live", "poll");
    await send(ada, "two");
    await received.saw("two");
    expect(received.texts).toEqual(await log(ada, start));
  },
);

test("WebSocket is used again once it works, without loss and without repeats", async () => {
  proxy.upgrades = 426;
  const ada = await clients.signedIn(server, "Ada");
  const start = await head(ada);
  const reader = clients.open(proxy, { timeouts, retryWebSocketMs: 100 });
  const states = new States(reader);
  const received = listen(reader, start);
  await send(ada, "one");
  await states.reached("live", "sse");
  proxy.upgrades = "pass";
  for (let number = 1; number <= 50; number += 1) await send(ada, `during ${number}`);
  await states.reached("live", "websocket");
  await send(ada, "last");
  await received.saw("last");
  expect(received.texts).toEqual(await log(ada, start));
});

test("a server that is down is not taken for a blocked WebSocket", async () => {
  const reader = clients.open(server, { timeouts });
  const states = new States(reader);
  await server.kill();
  const received = listen(reader);
  await states.reached("reconnecting");
  await server.startAgain();
  await states.reached("live", "websocket");
  await send(await clients.signedIn(server, "Ada"), "hello");
  await received.saw("hello");
});

describe("a fixed transport", () => {
  test("is used although another one would work", async () => {
    proxy.upgrades = 400;
    const reader = clients.open(proxy, { timeouts, transports: ["websocket"] });
    const states = new States(reader);
    const received = listen(reader);
    await states.recorder.until((seen) =>
      seen.some((state) => state.status === "reconnecting" && state.attempt >= 3),
    );
    proxy.upgrades = "pass";
    await states.reached("live", "websocket");
    await send(await clients.signedIn(server, "Ada"), "hello");
    await received.saw("hello");
  });

  test("polling delivers messages only", async () => {
    const reader = clients.open(server, { transports: ["poll"] });
    const failed = new Promise((resolve) => {
      reader.subscribe('subscription { typing(roomId: "room-1") { users { id } } }', undefined, {
        next: resolve,
        error: resolve,
      });
    });
    expect(await failed).toMatchObject({ code: "TRANSPORT_UNSUPPORTED" });
  });
});

test("an event stream and a poll that begin at the end of the log resume before a message", async () => {
  const ada = await clients.signedIn(server, "Ada");
  for (const transport of ["websocket", "sse", "poll"] as const) {
    const reader = clients.open(server, { transports: [transport] });
    const states = new States(reader);
    const received = listen(reader);
    await states.reached("live");
    await server.kill();
    await server.startAgain();
    await send(ada, `missed by ${transport}`);
    await received.saw(`missed by ${transport}`);
    expect(received.texts).toEqual([`missed by ${transport}`]);
    received.stop();
  }
});
