import type { TestClient } from "./clients/client.ts";
import { Recorder } from "./recorder.ts";

// The operations of the API that the tests use, independent of the client library.

export const roomId = "room-1";

export interface Message {
  readonly id: string;
  readonly text: string;
  readonly cursor: string;
  readonly sender: { readonly name: string };
}

interface Page {
  readonly nodes: readonly Message[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

const messageFields = "id text cursor sender { name }";

export async function signIn(client: TestClient, name: string): Promise<string> {
  const data = await client.run("mutation ($name: String!) { signIn(name: $name) { token } }", {
    name,
  });
  return (data as { signIn: { token: string } }).signIn.token;
}

export async function send(client: TestClient, text: string): Promise<Message> {
  const data = await client.run(
    `mutation ($roomId: ID!, $text: String!, $nonce: String) {
      sendMessage(roomId: $roomId, text: $text, nonce: $nonce) { ${messageFields} }
    }`,
    { roomId, text, nonce: `nonce of ${text}` },
  );
  return (data as { sendMessage: Message }).sendMessage;
}

/** The room's head. A subscription after it misses no message that is sent in between. */
export async function head(client: TestClient): Promise<string> {
  const data = await client.run("query ($roomId: ID!) { room(id: $roomId) { head } }", { roomId });
  return (data as { room: { head: string } }).room.head;
}

/** All messages of the room after `cursor`, read page by page. */
export async function history(client: TestClient, cursor: string): Promise<Message[]> {
  const messages: Message[] = [];
  let after: string | null = cursor;
  while (after !== null) {
    const data = await client.run(
      `query ($roomId: ID!, $after: Cursor) {
        messages(roomId: $roomId, first: 50, after: $after) {
          nodes { ${messageFields} }
          pageInfo { hasNextPage endCursor }
        }
      }`,
      { roomId, after },
    );
    const page: Page = (data as { messages: Page }).messages;
    messages.push(...page.nodes);
    after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
  }
  return messages;
}

export const newMessages = `subscription ($roomId: ID!, $after: Cursor) {
  newMessage(roomId: $roomId, after: $after) { ${messageFields} }
}`;

/** Subscribes after the cursor `after` and records each message; `stop` unsubscribes. */
export function listen(client: TestClient, after: string, document = newMessages, room = roomId) {
  const recorder = new Recorder<Message>();
  const stop = client.subscribe(
    document,
    { roomId: room, after },
    {
      next: (data) => {
        recorder.next((data as { newMessage: Message }).newMessage);
      },
      error: recorder.error,
    },
  );
  return { recorder, stop };
}

/** A condition that is true once a message with this text, and so every one before it, has come. */
export function saw(text: string): (seen: readonly Message[]) => boolean {
  return (seen) => seen.some((message) => message.text === text);
}
