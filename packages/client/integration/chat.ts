import { createSwitchboard, type Switchboard, type SwitchboardOptions } from "@switchboard/client";
import WebSocket from "ws";
import type { Endpoint } from "../../../web/harness/endpoint.ts";

// The operations of the API that the tests use.

export const roomId = "room-1";

export interface Message {
  readonly id: string;
  readonly text: string;
}

/** Short waits, so that many breaks fit into a test. The real defaults are for people. */
export const quick = {
  backoff: { firstMs: 20, maxMs: 300 },
  timeouts: { openMs: 5_000 },
} satisfies Partial<SwitchboardOptions>;

/** Opens clients, and closes them all at the end of a test. */
export class Clients {
  readonly #opened: Switchboard[] = [];

  open(endpoint: Endpoint, options: Partial<SwitchboardOptions> = {}): Switchboard {
    const client = createSwitchboard({
      url: endpoint.http,
      webSocket: WebSocket,
      ...quick,
      ...options,
    });
    this.#opened.push(client);
    return client;
  }

  /** A client that is signed in, for sending. */
  async signedIn(endpoint: Endpoint, name: string): Promise<Switchboard> {
    const token = await signIn(this.open(endpoint), name);
    return this.open(endpoint, { token });
  }

  close(): void {
    for (const client of this.#opened.splice(0)) client.close();
  }
}

export async function signIn(client: Switchboard, name: string): Promise<string> {
  const { signIn } = await client.run<{ signIn: { token: string } }>(
    "mutation ($name: String!) { signIn(name: $name) { token } }",
    { name },
  );
  return signIn.token;
}

/** Sends a message with a nonce, so that the client repeats the call after a break. */
export async function send(client: Switchboard, text: string, room = roomId): Promise<void> {
  await client.run(
    `mutation ($roomId: ID!, $text: String!, $nonce: String!) {
      sendMessage(roomId: $roomId, text: $text, nonce: $nonce) { id }
    }`,
    { roomId: room, text, nonce: text },
  );
}

export async function head(client: Switchboard): Promise<string> {
  const { room } = await client.run<{ room: { head: string } }>(
    "query ($roomId: ID!) { room(id: $roomId) { head } }",
    { roomId },
  );
  return room.head;
}

interface Page {
  readonly messages: {
    readonly nodes: readonly Message[];
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  };
}

/** The texts of all messages after `cursor`, from the server's log. */
export async function log(client: Switchboard, cursor: string): Promise<string[]> {
  const texts: string[] = [];
  let after: string | null = cursor;
  while (after !== null) {
    const { messages }: Page = await client.run<Page>(
      `query ($roomId: ID!, $after: Cursor) {
        messages(roomId: $roomId, first: 100, after: $after) {
          nodes { id text }
          pageInfo { hasNextPage endCursor }
        }
      }`,
      { roomId, after },
    );
    texts.push(...messages.nodes.map(({ text }) => text));
    after = messages.pageInfo.hasNextPage ? messages.pageInfo.endCursor : null;
  }
  return texts;
}

export const newMessages = `subscription ($roomId: ID!, $after: Cursor) {
  newMessage(roomId: $roomId, after: $after) { id text sender { name } }
}`;
