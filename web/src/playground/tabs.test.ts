import { getOperationAST, Kind, parse, print } from "graphql";
import { expect, test } from "vitest";
import { defaultTabs } from "./tabs.ts";

const documents = defaultTabs.map(({ query }) => parse(query ?? ""));

test("the first tab is a subscription that runs unchanged", () => {
  const promised = `subscription { newMessage(roomId: "room-1") { id text sender { name } } }`;
  expect(documents[0] && print(documents[0])).toBe(print(parse(promised)));
});

test("the next tabs sign in and send", () => {
  const roots = documents.map((document) => {
    const operation = getOperationAST(document);
    const [field] = operation?.selectionSet.selections ?? [];
    return [operation?.operation, field?.kind === Kind.FIELD ? field.name.value : undefined];
  });
  expect(roots).toEqual([
    ["subscription", "newMessage"],
    ["mutation", "signIn"],
    ["mutation", "sendMessage"],
  ]);
});

test("the sending tab explains where the token goes", () => {
  expect(defaultTabs[2]?.query).toContain(`{"Authorization": "Bearer <token>"} into Headers`);
});
