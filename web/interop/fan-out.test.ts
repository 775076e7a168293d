import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Switchboard } from "../harness/switchboard.ts";
import { head, history, listen, newMessages, saw, send, signIn } from "./chat.ts";
import { connectApollo } from "./clients/apollo.ts";
import type { Connect, ConnectOptions, TestClient } from "./clients/client.ts";
import { connectGraphQLWs } from "./clients/graphql-ws.ts";
import { connectUrql } from "./clients/urql.ts";

const subscribersCount = 8;
const messagesPerSender = 50;

const libraries: [string, Connect][] = [
  ["Apollo Client", connectApollo],
  ["graphql-ws", connectGraphQLWs],
  ["urql", connectUrql],
];

describe.each(libraries)("%s", (_name, connect) => {
  let server: Switchboard;
  let clients: TestClient[];

  beforeEach(async () => {
    clients = [];
    server = await Switchboard.start();
  });

  afterEach(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await server.destroy();
  });

  function client(options?: ConnectOptions): TestClient {
    const connected = connect(server, options);
    clients.push(connected);
    return connected;
  }

  test("every subscriber sees every message, once, in the room's order", async () => {
    const reader = client();
    const [ada, grace] = [
      client({ token: await signIn(reader, "Ada") }),
      client({ token: await signIn(reader, "Grace") }),
    ];
    const start = await head(reader);
    const subscribers = Array.from({ length: subscribersCount }, () => listen(client(), start));

    await Promise.all(
      Array.from({ length: messagesPerSender }, (_, i) => [
        send(ada, `Ada ${i}`),
        send(grace, `Grace ${i}`),
      ]).flat(),
    );
    // Whatever was repeated or late would have to come before the fence.
    await send(ada, "fence");
    await Promise.all(subscribers.map(({ recorder }) => recorder.until(saw("fence"))));

    const stored = await history(reader, start);
    expect(stored).toHaveLength(2 * messagesPerSender + 1);
    for (const { recorder } of subscribers) expect(recorder.seen).toEqual(stored);
  });

  test("a subscription that was stopped sees nothing more, the others do", async () => {
    const reader = client();
    const ada = client({ token: await signIn(reader, "Ada") });
    const start = await head(reader);
    const stopped = listen(reader, start);
    // On the same connection, but named, so that no library takes it for the same subscription.
    const other = listen(reader, start, newMessages.replace("subscription", "subscription Other"));

    await send(ada, "first");
    await stopped.recorder.until(saw("first"));
    stopped.stop();
    await send(ada, "second");
    await send(ada, "fence");
    await other.recorder.until(saw("fence"));

    expect(stopped.recorder.seen.map(({ text }) => text)).toEqual(["first"]);
  });

  test("sending without a token is refused", async () => {
    await expect(send(client(), "anonymous")).rejects.toThrow();
  });
});
