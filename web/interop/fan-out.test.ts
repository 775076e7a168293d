import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CuttingProxy } from "../harness/cutting-proxy.ts";
import type { Endpoint } from "../harness/endpoint.ts";
import { Switchboard } from "../harness/switchboard.ts";
import { head, history, listen, newMessages, saw, send, signIn } from "./chat.ts";
import type { ConnectOptions, TestClient } from "./clients/client.ts";
import { libraries, named } from "./clients/libraries.ts";

const subscribersCount = 4;
const messagesPerSender = 150;
// The number of messages that one sender has in flight at once.
const waveSize = 50;

describe.each(named(libraries))("%s", (_name, { connect }) => {
  let server: Switchboard;
  let network: CuttingProxy | undefined;
  let clients: TestClient[];

  beforeEach(async () => {
    clients = [];
    network = undefined;
    server = await Switchboard.start();
  });

  afterEach(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await network?.stop();
    await server.destroy();
  });

  function client(options?: ConnectOptions, endpoint: Endpoint = server): TestClient {
    const connected = connect(endpoint, options);
    clients.push(connected);
    return connected;
  }

  test("every subscriber sees every message once and in order over a broken network", async () => {
    const reader = client();
    const [ada, grace] = [
      client({ token: await signIn(reader, "Ada") }),
      client({ token: await signIn(reader, "Grace") }),
    ];
    const start = await head(reader);
    network = await CuttingProxy.start(server.port, `Ada ${messagesPerSender / 2}"`);
    const subscribers = Array.from({ length: subscribersCount }, () =>
      listen(client({}, network), start),
    );
    // All subscribers are connected before the network breaks.
    await send(ada, "first");
    await Promise.all(subscribers.map(({ recorder }) => recorder.until(saw("first"))));

    for (let sent = 0; sent < messagesPerSender; sent += waveSize) {
      const wave = Array.from({ length: waveSize }, (_, i) => [
        send(ada, `Ada ${sent + i}`),
        send(grace, `Grace ${sent + i}`),
      ]);
      await Promise.all(wave.flat());
    }
    // A repeated or late message would arrive before the fence.
    await send(ada, "fence");
    await Promise.all(subscribers.map(({ recorder }) => recorder.until(saw("fence"))));

    expect(network.cutsCount).toBeGreaterThanOrEqual(subscribersCount);
    const stored = await history(reader, start);
    expect(stored).toHaveLength(2 * messagesPerSender + 2);
    for (const { recorder } of subscribers) expect(recorder.seen).toEqual(stored);
  });

  test("a stopped subscription receives nothing more, and the others go on", async () => {
    const reader = client();
    const ada = client({ token: await signIn(reader, "Ada") });
    const start = await head(reader);
    const stopped = listen(reader, start);
    // Named, so that no library merges it with the other subscription on this connection.
    const other = listen(reader, start, newMessages.replace("subscription", "subscription Other"));

    await send(ada, "first");
    await stopped.recorder.until(saw("first"));
    stopped.stop();
    await send(ada, "second");
    await send(ada, "fence");
    await other.recorder.until(saw("fence"));

    expect(stopped.recorder.seen.map(({ text }) => text)).toEqual(["first"]);
  });

  test("a refused subscription ends, and the others go on", async () => {
    const reader = client();
    const ada = client({ token: await signIn(reader, "Ada") });
    const start = await head(reader);
    const other = listen(reader, start);
    await send(ada, "first");
    await other.recorder.until(saw("first"));

    const refused = listen(reader, start, newMessages, "nowhere");
    // graphql-sse with a single connection reports only the status of its request.
    const reason = /no such room|responded with 400/;
    await expect(refused.recorder.until(saw("first"))).rejects.toThrow(reason);
    await send(ada, "second");
    await other.recorder.until(saw("second"));

    expect(other.recorder.seen.map(({ text }) => text)).toEqual(["first", "second"]);
  });

  test("sending without a token is refused", async () => {
    await expect(send(client(), "anonymous")).rejects.toThrow();
  });
});
