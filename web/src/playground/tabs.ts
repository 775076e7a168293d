import type { TabsState } from "@graphiql/react";

type TabDefinition = Pick<TabsState["tabs"][number], "query">;

const subscribe = `subscription {
  newMessage(roomId: "room-1") {
    id
    text
    sender {
      name
    }
  }
}`;

const signIn = `# Reading needs no token, sending does. Run this, then copy the token.
mutation SignIn {
  signIn(name: "Ada") {
    token
    viewer {
      id
      name
    }
  }
}`;

const sendMessage = `# Put {"Authorization": "Bearer <token>"} into Headers, below. Where the
# first tab runs, in another window, the message appears as it is sent.
mutation SendMessage {
  sendMessage(roomId: "room-1", text: "Hello from the playground") {
    id
    text
    cursor
  }
}`;

/** The tabs of a first visit: listen, sign in, send. GraphiQL restores the tabs of later visits. */
export const defaultTabs: TabDefinition[] = [
  { query: subscribe },
  { query: signIn },
  { query: sendMessage },
];
