import { expect, test } from "vitest";
import { endpointsOf } from "./endpoints.ts";

test.each([
  ["http://127.0.0.1:4000", "ws://127.0.0.1:4000/graphql"],
  ["https://chat.example", "wss://chat.example/graphql"],
])("a page from %s", (origin, webSocket) => {
  expect(endpointsOf({ origin })).toEqual({ http: `${origin}/graphql`, webSocket });
});
