import { expect, test } from "vitest";
import { endpointsOf } from "./endpoints.ts";

test.each([
  ["http://127.0.0.1:4000", ""],
  ["https://chat.example", ""],
  ["https://example.com", "/chat"],
])("a page from %s%s", (origin, path) => {
  expect(endpointsOf({ href: `${origin}${path}/graphiql?operationName=SignIn#x` })).toEqual({
    http: `${origin}${path}/graphql`,
    webSocket: `${origin.replace("http", "ws")}${path}/graphql`,
  });
});
