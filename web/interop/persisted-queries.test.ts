import { createHash } from "node:crypto";
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Switchboard } from "../harness/switchboard.ts";
import { type Sent, Wire } from "./wire.ts";

let server: Switchboard;

beforeAll(async () => {
  server = await Switchboard.start();
});

afterAll(async () => {
  await server.destroy();
});

describe.each(["POST", "GET"])("automatic persisted queries by %s", (method) => {
  // A document that no other test registers.
  const query = gql(`query By${method}($id: ID!) { room(id: $id) { id name } }`);

  function visit() {
    const wire = new Wire();
    const client = new ApolloClient({
      cache: new InMemoryCache(),
      link: ApolloLink.from([
        new PersistedQueryLink({ sha256, useGETForHashedQueries: method === "GET" }),
        new HttpLink({ uri: server.http, fetch: wire.fetch }),
      ]),
    });
    return { wire, ask: () => client.query({ query, variables: { id: "room-1" } }) };
  }

  test("the document is sent once, then only its hash", async () => {
    const first = visit();
    const { data } = await first.ask();
    expect(data).toMatchObject({ room: { name: "General" } });
    expect(first.wire.sent.map(hasDocument)).toEqual([false, true]);

    const second = visit();
    expect((await second.ask()).data).toEqual(data);
    expect(second.wire.sent.map(hasDocument)).toEqual([false]);
    expect(second.wire.sent[0]?.method).toBe(method);
  });
});

function hasDocument({ operations }: Sent): boolean {
  return operations.every(({ query }) => query !== undefined);
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
