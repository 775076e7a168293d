import { ApolloClient, gql, InMemoryCache } from "@apollo/client";
import { SwitchboardLink } from "@switchboard/client/apollo";
import { resuming } from "@switchboard/client/graphql-ws";
import { createClient } from "graphql-ws";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { Switchboard } from "../../../web/harness/switchboard.ts";
import { Clients, head, log, newMessages, quick, roomId, send, signIn } from "./chat.ts";
import { type NewMessage, Received } from "./received.ts";

let clients: Clients;
let server: Switchboard;
let stops: (() => void)[];

beforeEach(async () => {
  clients = new Clients();
  stops = [];
  server = await Switchboard.start();
});

afterEach(async () => {
  clients.close();
  for (const stop of stops) stop();
  await server.destroy();
});

/** Sends messages, and kills the server in between. */
async function sendOverKills(start: string, received: Received): Promise<void> {
  const ada = await clients.signedIn(server, "Ada");
  for (let round = 1; round <= 3; round += 1) {
    for (let number = 1; number <= 20; number += 1) await send(ada, `${round}:${number}`);
    await received.saw(`${round}:1`);
    await server.kill();
    await server.startAgain();
  }
  await send(ada, "last");
  await received.saw("last");
  expect(received.texts).toEqual(await log(ada, start));
}

describe("Apollo Client with SwitchboardLink", () => {
  function connect() {
    let token: string | undefined;
    const link = new SwitchboardLink({
      url: server.http,
      token: () => token,
      webSocket: WebSocket,
      ...quick,
    });
    const client = new ApolloClient({ cache: new InMemoryCache(), link });
    stops.push(() => {
      link.switchboard.close();
      client.stop();
    });
    return { client, link, signIn: (value: string) => (token = value) };
  }

  test("a subscription loses and repeats nothing over kill -9", async () => {
    const { client } = connect();
    const start = await head(clients.open(server));
    const received = new Received();
    client
      .subscribe<NewMessage>({ query: gql(newMessages), variables: { roomId, after: start } })
      .subscribe(({ data, error }) => {
        if (error) received.error(error);
        else received.next({ data: data ?? null });
      });
    await sendOverKills(start, received);
  });

  test("queries and mutations use the same link, with the current token", async () => {
    const { client, signIn: use } = connect();
    use(await signIn(clients.open(server), "Ada"));
    const sent = await client.mutate({
      mutation: gql`
        mutation {
          sendMessage(roomId: "room-1", text: "hello", nonce: "1") {
            id
            sender {
              name
            }
          }
        }
      `,
    });
    expect(sent.data).toMatchObject({ sendMessage: { sender: { name: "Ada" } } });
    const { data } = await client.query({
      query: gql`
        query Newest {
          messages(roomId: "room-1", last: 1) {
            nodes {
              id
              text
            }
          }
        }
      `,
    });
    expect(data).toMatchObject({ messages: { nodes: [{ text: "hello" }] } });
  });

  test("errors of the server reach Apollo Client with their codes", async () => {
    const { client } = connect();
    const mutation = gql`
      mutation {
        sendMessage(roomId: "room-1", text: "hello") {
          id
        }
      }
    `;
    await expect(client.mutate({ mutation })).rejects.toMatchObject({
      errors: [{ extensions: { code: "UNAUTHENTICATED" } }],
    });
    const failed = new Promise((resolve) => {
      client
        .subscribe({ query: gql(newMessages), variables: { roomId: "none" } })
        .subscribe(({ error }) => {
          resolve(error);
        });
    });
    expect(await failed).toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("graphql-ws", () => {
  function connect(wrap: typeof resuming, beforeRetry = () => Promise.resolve()) {
    const client = wrap(
      createClient({
        url: server.webSocket,
        webSocketImpl: WebSocket,
        shouldRetry: () => true,
        retryAttempts: Infinity,
        retryWait: async () => {
          await beforeRetry();
          await new Promise((resolve) => setTimeout(resolve, 20));
        },
      }),
    );
    stops.push(() => void client.dispose());
    return client;
  }

  test("with `resuming`, a subscription loses and repeats nothing over kill -9", async () => {
    const start = await head(clients.open(server));
    const received = new Received();
    connect(resuming).subscribe<NewMessage>(
      { query: newMessages, variables: { roomId, after: start } },
      {
        next: ({ data }) => {
          received.next({ data: data ?? null });
        },
        error: (error) => {
          received.recorder.error(error);
        },
        complete: received.complete,
      },
    );
    await sendOverKills(start, received);
  });

  // The README says what an application without the package loses.
  test.each([
    ["after a cursor repeats", true],
    ["without a cursor loses", false],
  ])("without `resuming`, a subscription %s messages", async (_what, hasCursor) => {
    const ada = await clients.signedIn(server, "Ada");
    const start = await head(ada);
    const received = new Received();
    let retry: () => void = () => undefined;
    const retried = new Promise<void>((resolve) => (retry = resolve));
    const client = connect(
      (plain) => plain,
      () => retried,
    );
    /** The server announces by a ping that the subscription is live. */
    const live = () =>
      new Promise<void>((resolve) => {
        client.on("ping", (isFromServer) => {
          if (isFromServer) resolve();
        });
      });
    const liveFirst = live();
    client.subscribe<NewMessage>(
      { query: newMessages, variables: { roomId, ...(hasCursor && { after: start }) } },
      {
        next: ({ data }) => {
          received.next({ data: data ?? null });
        },
        error: received.recorder.error,
        complete: received.complete,
      },
    );
    await liveFirst;
    await send(ada, "one");
    await received.saw("one");
    const liveAgain = live();
    await server.kill();
    await server.startAgain();
    await send(ada, "two");
    retry();
    await liveAgain;
    await send(ada, "three");
    await received.saw("three");
    expect(received.texts).toEqual(hasCursor ? ["one", "one", "two", "three"] : ["one", "three"]);
  });
});
