import { ClientError, GraphQLClient } from "graphql-request";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Switchboard } from "../harness/switchboard.ts";

const signIn = "mutation ($name: String!) { signIn(name: $name) { token } }";
const sendMessage = `mutation ($roomId: ID!, $text: String!) {
  sendMessage(roomId: $roomId, text: $text) { text sender { name } }
}`;
const room = "query ($id: ID!) { room(id: $id) { name } }";

let server: Switchboard;

beforeAll(async () => {
  server = await Switchboard.start();
});

afterAll(async () => {
  await server.destroy();
});

async function signedIn(): Promise<GraphQLClient> {
  const { signIn: session } = await new GraphQLClient(server.http).request<{
    signIn: { token: string };
  }>(signIn, { name: "Ada" });
  return new GraphQLClient(server.http, {
    headers: { authorization: `Bearer ${session.token}` },
  });
}

test.each(["POST", "GET"] as const)("a query by %s", async (method) => {
  const client = new GraphQLClient(server.http, { method });
  expect(await client.request(room, { id: "room-1" })).toEqual({ room: { name: "General" } });
});

test("a mutation with variables and a token", async () => {
  const client = await signedIn();
  expect(await client.request(sendMessage, { roomId: "room-1", text: "Hello" })).toEqual({
    sendMessage: { text: "Hello", sender: { name: "Ada" } },
  });
});

test.each([
  ["of a refused field", sendMessage, 200, "UNAUTHENTICATED"],
  ["of an invalid document", "{ nothing }", 400, "GRAPHQL_VALIDATION_FAILED"],
  ["of a syntax error", "mutation {", 400, "GRAPHQL_PARSE_FAILED"],
])("the code %s", async (_name, document, status, code) => {
  const client = new GraphQLClient(server.http);
  const failed = client.request(document, { roomId: "room-1", text: "Hello" });
  await expect(failed).rejects.toMatchObject({
    response: { status, errors: [{ extensions: { code } }] },
  });
});

test("the code of an invalid token", async () => {
  const client = new GraphQLClient(server.http, { headers: { authorization: "Bearer none" } });
  await expect(client.request(room, { id: "room-1" })).rejects.toMatchObject({
    response: { status: 401, errors: [{ extensions: { code: "UNAUTHENTICATED" } }] },
  });
});

test("a batch is answered in its order", async () => {
  const client = await signedIn();
  const answers = await client.batchRequests([
    { document: room, variables: { id: "room-1" } },
    { document: sendMessage, variables: { roomId: "room-1", text: "in a batch" } },
  ]);
  expect(answers).toMatchObject([
    { data: { room: { name: "General" } } },
    { data: { sendMessage: { text: "in a batch" } } },
  ]);
});

test("a batch with a refused operation reports its code, and the others run", async () => {
  const client = await signedIn();
  const failed: unknown = await client
    .batchRequests([
      { document: sendMessage, variables: { roomId: "nowhere", text: "lost" } },
      { document: sendMessage, variables: { roomId: "room-1", text: "kept" } },
    ])
    .catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(ClientError);
  // The library passes on the answers of a batch as fields of the response.
  expect((failed as ClientError).response).toMatchObject({
    0: { errors: [{ extensions: { code: "NOT_FOUND" } }] },
    1: { data: { sendMessage: { text: "kept" } } },
  });
});
