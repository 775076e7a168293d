import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import { createSwitchboard } from "../src/index.ts";
import { useConnectionState, useRoom } from "../src/react.ts";

test("a component shows the state of the connection", () => {
  const client = createSwitchboard({ url: "http://sb.test/graphql", transports: ["sse"] });
  const Status = () => createElement("p", null, useConnectionState(client).status);
  expect(renderToString(createElement(Status))).toBe("<p>idle</p>");
  client.close();
  expect(renderToString(createElement(Status))).toBe("<p>closed</p>");
});

test("a component shows no messages before the first snapshot", () => {
  const client = createSwitchboard({ url: "http://sb.test/graphql", transports: ["sse"] });
  const Room = () => createElement("p", null, JSON.stringify(useRoom(client, "room-1")));
  const html = renderToString(createElement(Room)).replaceAll("&quot;", '"');
  expect(html).toBe('<p>{"messages":[],"gap":null,"error":null}</p>');
});
