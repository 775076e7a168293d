import { expect, test } from "vitest";
import { chosenOperation } from "./operation.ts";

const one = "mutation SignIn { signOut }";
const two = "query A { viewer { id } } query B { viewer { name } }";

test.each<[string, string, string | undefined, string | undefined]>([
  ["the only one", one, undefined, "SignIn"],
  ["the named one", two, "B", "B"],
  ["the only one, if the name belongs to another tab", one, "SendMessage", "SignIn"],
  ["none of several without a name", two, undefined, undefined],
  ["none of a text that is not a document", "mutation {", undefined, undefined],
])("%s", (_case, query, operationName, expected) => {
  expect(chosenOperation(query, operationName)?.name?.value).toBe(expected);
});
