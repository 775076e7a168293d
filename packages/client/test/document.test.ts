import { parse, print } from "graphql";
import { expect, test } from "vitest";
import { argumentOf, pollDocument, requestFrom, subscriptionOf } from "../src/document.ts";

function read(text: string, operationName?: string) {
  const subscription = subscriptionOf(parse(text), operationName);
  if (!subscription) throw new Error("This is not a subscription.");
  return subscription;
}

const normal = (text: string) => print(parse(text));

test("a literal position is removed to start at the end of the log", () => {
  const subscription = read('subscription { newMessage(roomId: "r", after: "c") { id } }');
  expect(argumentOf(subscription, undefined, "after")).toBe("c");
  expect(normal(requestFrom(subscription, undefined, null).query)).toBe(
    normal('subscription { newMessage(roomId: "r", after: null) { id } }'),
  );
});

test("the field may be in a fragment", () => {
  const subscription = read(
    'subscription { ...f } fragment f on Subscription { newMessage(roomId: "r") { id } }',
  );
  expect(normal(requestFrom(subscription, undefined, "c").query)).toBe(
    normal(
      `subscription { ...f }
       fragment f on Subscription { newMessage(roomId: "r", after: "c") { id } }`,
    ),
  );
});

test("an ephemeral subscription has no position", () => {
  const text = 'subscription { typing(roomId: "r") { users { id } } }';
  const subscription = read(text);
  expect(subscription.field).toBeUndefined();
  expect(requestFrom(subscription, undefined, "c").query).toBe(normal(text));
});

test("arguments may be numbers and variables", () => {
  const subscription = read("subscription ($r: ID!) { newMessage(roomId: $r) { id } }");
  expect(argumentOf(subscription, { r: 7 }, "roomId")).toBe("7");
  expect(argumentOf(subscription, {}, "roomId")).toBeUndefined();
  expect(argumentOf(read("subscription { newMessage(roomId: 7) { id } }"), {}, "roomId")).toBe("7");
});

test("a poll has the selection, its fragments and the variables that they use", () => {
  const poll = pollDocument(
    read(
      `query Other { viewer { id } }
       subscription S($room: ID!, $after: Cursor, $names: Boolean!) {
         news: newMessage(roomId: $room, after: $after) { id ...f }
       }
       fragment f on Message { sender { ...g } }
       fragment g on User { name @include(if: $names) }
       fragment unused on Room { id }`,
      "S",
    ),
  );
  expect(poll?.key).toBe("news");
  expect(poll?.variables).toEqual(["room", "names"]);
  expect(normal(poll?.query ?? "")).toBe(
    normal(
      `query SwitchboardPoll(
         $_after: Cursor!, $_wait: Int!, $_limit: Int!, $room: ID!, $names: Boolean!
       ) {
         pollMessages(roomId: $room, after: $_after, wait: $_wait, limit: $_limit) {
           cursor
           messages { switchboardCursor: cursor ...on Message { id ...f } }
         }
       }
       fragment f on Message { sender { ...g } }
       fragment g on User { name @include(if: $names) }`,
    ),
  );
});
