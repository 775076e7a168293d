import { SubscriptionClient } from "subscriptions-transport-ws";
import { afterEach, beforeEach, expect, test } from "vitest";
import WebSocket from "ws";
import { Switchboard } from "../harness/switchboard.ts";
import { head, type Message, newMessages, roomId, saw, send, signIn } from "./chat.ts";
import type { TestClient } from "./clients/client.ts";
import { connectGraphQLWs } from "./clients/graphql-ws.ts";
import { Recorder } from "./recorder.ts";

let server: Switchboard;
let ada: TestClient;
let legacy: SubscriptionClient;

beforeEach(async () => {
  server = await Switchboard.start();
  const reader = connectGraphQLWs(server);
  ada = connectGraphQLWs(server, { token: await signIn(reader, "Ada") });
  await reader.close();
  legacy = new SubscriptionClient(server.webSocket, {}, WebSocket);
});

afterEach(async () => {
  legacy.close();
  await ada.close();
  await server.destroy();
});

/** The messages of a subscription, or the reason why the server refused it. */
function subscribe(query: string, variables: Record<string, unknown>): Recorder<Message> {
  const recorder = new Recorder<Message>();
  legacy.request({ query, variables }).subscribe({
    next: ({ data }) => {
      recorder.next((data as { newMessage: Message }).newMessage);
    },
    error: recorder.error,
  });
  return recorder;
}

test.each([
  ["of an unknown room", newMessages, { roomId: "nowhere" }, "NOT_FOUND"],
  ["with an unknown field", "subscription { nothing }", {}, "GRAPHQL_VALIDATION_FAILED"],
  ["with a syntax error", "subscription {", {}, "GRAPHQL_PARSE_FAILED"],
  ["without a variable", newMessages, {}, "BAD_USER_INPUT"],
])("a subscription %s leaves the socket open", async (_name, query, variables, code) => {
  let closesCount = 0;
  legacy.onDisconnected(() => closesCount++);
  const other = subscribe(newMessages, { roomId, after: await head(ada) });
  await send(ada, "before");
  await other.until(saw("before"));

  await expect(subscribe(query, variables).until(saw("before"))).rejects.toThrow(code);
  await send(ada, "after");
  await other.until(saw("after"));

  expect(other.seen.map(({ text }) => text)).toEqual(["before", "after"]);
  expect(closesCount).toBe(0);
});
