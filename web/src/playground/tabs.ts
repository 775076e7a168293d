import type { TabsState } from "@graphiql/react";
import type { SignIn } from "./guest.ts";

type TabDefinition = Pick<TabsState["tabs"][number], "query">;

/** Comments of at most 40 characters per line, which fit the editor on a phone. */
const comment = (...lines: string[]) => lines.map((line) => `# ${line}\n`).join("");

const subscribe = `${comment(
  "Run this. The newest results come first.",
  "Then send a message from the next tab,",
  "in a second window.",
)}subscription NewMessages {
  newMessage(roomId: "room-1") {
    id
    text
    sender {
      name
    }
  }
}`;

const sendMessage = `mutation SendMessage {
  sendMessage(
    roomId: "room-1"
    text: "Hello from the playground"
  ) {
    id
    text
    cursor
  }
}`;

const history = `${comment("The last messages of the room.")}query LastMessages {
  room(id: "room-1") {
    name
    head
    messages(last: 10) {
      nodes {
        text
        createdAt
        sender {
          name
        }
      }
    }
  }
}`;

/** What the tab that sends says about the token. */
function sendingNote(signIn: SignIn): string {
  switch (signIn.kind) {
    case "guest":
      return comment("You are signed in as a guest: the token", "is in the Headers, below.");
    case "provider":
      return comment(
        "Sending needs a token of your identity",
        "provider. Put it into the Headers:",
        '{"Authorization": "Bearer TOKEN"}',
      );
    case "unknown":
      return comment("Sending needs a token in the Headers,", "below. Reload the page to sign in.");
  }
}

/** The headers of each tab in which the user has typed none. */
export function defaultHeaders(signIn: SignIn): string {
  return signIn.kind === "guest" ? JSON.stringify(signIn.headers, null, 2) : "";
}

/** The tabs of a first visit: follow, send, read. GraphiQL restores the tabs of later visits. */
export function defaultTabs(signIn: SignIn): TabDefinition[] {
  return [{ query: subscribe }, { query: sendingNote(signIn) + sendMessage }, { query: history }];
}
