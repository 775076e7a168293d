import { expect, test } from "vitest";
import { chosenOperation } from "./operation.ts";

const one = "mutation SignIn { signOut }";
const two = "query A { viewer { id } } query B { viewer { name } }";

test.each<[string, string, string | undefined, string | undefined]>([
  ["the only one", one, undefined, "SignIn"],
  ["the named one", two, "B", "B"],
  ["the only one, whatever name another tab left", one, "SendMessage", "SignIn"],
  ["none of several without a name", two, undefined, undefined],
  ["none of something that is no document", "mutation {", undefined, undefined],
])("%s", (_case, query, operationName, expected) => {
  expect(chosenOperation(query, operationName)?.name?.value).toBe(expected);
});
