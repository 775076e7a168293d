import { ApolloClient, gql, InMemoryCache } from "@apollo/client";
import { BatchHttpLink } from "@apollo/client/link/batch-http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Switchboard } from "../harness/switchboard.ts";
import { head, history, signIn } from "./chat.ts";
import { connectGraphQLWs } from "./clients/graphql-ws.ts";
import { Wire } from "./wire.ts";

const sendMessage = gql`
  mutation ($roomId: ID!, $text: String!) {
    sendMessage(roomId: $roomId, text: $text) {
      id
      text
    }
  }
`;

let server: Switchboard;

beforeAll(async () => {
  server = await Switchboard.start();
});

afterAll(async () => {
  await server.destroy();
});

function batching(token: string) {
  const wire = new Wire();
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: new BatchHttpLink({
      uri: server.http,
      fetch: wire.fetch,
      headers: { authorization: `Bearer ${token}` },
    }),
  });
  return { client, wire };
}

test("operations that start together are one request, and each has its own answer", async () => {
  const reader = connectGraphQLWs(server);
  const start = await head(reader);
  const { client, wire } = batching(await signIn(reader, "Ada"));

  const [asked, first, refused, second] = await Promise.allSettled([
    client.query({ query: gql`{ room(id: "room-1") { id name } }` }), // prettier-ignore
    client.mutate({ mutation: sendMessage, variables: { roomId: "room-1", text: "first" } }),
    client.mutate({ mutation: sendMessage, variables: { roomId: "nowhere", text: "lost" } }),
    client.mutate({ mutation: sendMessage, variables: { roomId: "room-1", text: "second" } }),
  ]);

  expect(asked).toMatchObject({ value: { data: { room: { name: "General" } } } });
  expect(first).toMatchObject({ value: { data: { sendMessage: { text: "first" } } } });
  expect(refused).toMatchObject({ reason: { errors: [{ extensions: { code: "NOT_FOUND" } }] } });
  expect(second).toMatchObject({ value: { data: { sendMessage: { text: "second" } } } });
  expect(wire.sent.map(({ operations }) => operations.length)).toEqual([4]);
  const stored = await history(reader, start);
  expect(stored.map(({ text }) => text)).toEqual(["first", "second"]);
  await reader.close();
});
