import { getOperationAST, Kind, parse } from "graphql";
import { expect, test } from "vitest";
import type { SignIn } from "./guest.ts";
import { defaultHeaders, defaultTabs } from "./tabs.ts";

const guest: SignIn = { kind: "guest", headers: { Authorization: "Bearer t" } };
const kinds: SignIn[] = [guest, { kind: "provider" }, { kind: "unknown" }];

test.each(kinds)("the tabs follow, send and read, and have names: $kind", (signIn) => {
  const roots = defaultTabs(signIn).map(({ query }) => {
    const operation = getOperationAST(parse(query ?? ""));
    const [field] = operation?.selectionSet.selections ?? [];
    return [operation?.name?.value, field?.kind === Kind.FIELD ? field.name.value : undefined];
  });
  expect(roots).toEqual([
    ["NewMessages", "newMessage"],
    ["SendMessage", "sendMessage"],
    ["LastMessages", "room"],
  ]);
});

test.each(kinds)("every line fits the editor on a phone: $kind", (signIn) => {
  const lines = defaultTabs(signIn).flatMap(({ query }) => query?.split("\n") ?? []);
  expect(lines.filter((line) => line.length > 42)).toEqual([]);
});

test("a guest's token is the default of all tabs, and a provider's token is asked for", () => {
  expect(JSON.parse(defaultHeaders(guest))).toEqual({ Authorization: "Bearer t" });
  const provider: SignIn = { kind: "provider" };
  expect(defaultHeaders(provider)).toBe("");
  expect(defaultTabs(provider)[1]?.query).toContain('{"Authorization": "Bearer TOKEN"}');
});
