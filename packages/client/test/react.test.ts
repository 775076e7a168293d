import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import { createSwitchboard } from "../src/index.ts";
import { useConnectionState } from "../src/react.ts";

test("a component shows the state of the connection", () => {
  const client = createSwitchboard({ url: "http://sb.test/graphql", transports: ["sse"] });
  const Status = () => createElement("p", null, useConnectionState(client).status);
  expect(renderToString(createElement(Status))).toBe("<p>idle</p>");
  client.close();
  expect(renderToString(createElement(Status))).toBe("<p>closed</p>");
});
