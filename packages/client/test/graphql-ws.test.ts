import { parse, print } from "graphql";
import type { Client, Sink, SubscribePayload } from "graphql-ws";
import { describe, expect, test, vi } from "vitest";
import { resumeAfter, resuming } from "../src/graphql-ws.ts";

function normal(query: string): string {
  return print(parse(query));
}

describe("resumeAfter", () => {
  test("sets the variable that is passed as `after`, whatever its name", () => {
    const query =
      "subscription ($room: ID!, $from: Cursor) { newMessage(roomId: $room, after: $from) { id } }";
    const payload = { query, variables: { room: "room-1", from: "old" } };
    expect(resumeAfter(payload, "new")).toEqual({
      query,
      variables: { room: "room-1", from: "new" },
    });
    expect(payload.variables.from).toBe("old");
  });

  test("replaces a literal `after`", () => {
    const query = `subscription { newMessage(roomId: "room-1", after: "old") { id } }`;
    expect(normal(resumeAfter({ query }, "new").query)).toBe(
      normal(`subscription { newMessage(roomId: "room-1", after: "new") { id } }`),
    );
  });

  test("adds `after` where there is none", () => {
    const query = `subscription { newMessage(roomId: "room-1") { id sender { name } } }`;
    expect(normal(resumeAfter({ query }, "new").query)).toBe(
      normal(`subscription { newMessage(roomId: "room-1", after: "new") { id sender { name } } }`),
    );
  });

  test("finds the subscription by its name", () => {
    const query = `query A { viewer { id } } subscription B { newMessage(roomId: "r") { id } }`;
    const resumed = resumeAfter({ query, operationName: "B" }, "new");
    expect(normal(resumed.query)).toBe(
      normal(
        `query A { viewer { id } } subscription B { newMessage(roomId: "r", after: "new") { id } }`,
      ),
    );
  });

  test.each([
    ["a query", "{ viewer { id } }"],
    [
      "a field inside a fragment",
      "subscription { ...f } fragment f on Subscription { inbox { at } }",
    ],
  ])("leaves %s alone", (_what, query) => {
    const payload = { query };
    expect(resumeAfter(payload, "new")).toBe(payload);
  });
});

describe("resuming", () => {
  function subscribed(payload: SubscribePayload) {
    const inner = vi.fn<(payload: SubscribePayload, sink: Sink) => () => void>(
      () => () => undefined,
    );
    const outer = { next: vi.fn(), error: vi.fn(), complete: vi.fn() };
    resuming({ subscribe: inner } as unknown as Client).subscribe(payload, outer);
    const [sent, sink] = inner.mock.calls[0] ?? [];
    if (!sent || !sink) throw new Error("nothing was subscribed");
    /** The payload that the client would send now. */
    const wire = () => JSON.parse(JSON.stringify(sent)) as SubscribePayload;
    return { sink, outer, wire };
  }

  const payload = {
    query: 'subscription ($after: Cursor) { newMessage(roomId: "r", after: $after) { id } }',
    variables: { after: "start" },
  };

  test("sends the payload unchanged until a cursor is seen", () => {
    const { sink, wire } = subscribed(payload);
    sink.next({ data: {} });
    expect(wire()).toEqual(payload);
  });

  test("a reconnect starts after the last cursor", () => {
    const { sink, wire } = subscribed(payload);
    sink.next({ data: {}, extensions: { cursor: "one" } });
    sink.next({ data: {}, extensions: { cursor: "two" } });
    sink.next({ data: {}, extensions: { cursor: 3 } });
    expect(wire().variables).toEqual({ after: "two" });
  });

  test("passes results, errors and completion on", () => {
    const { sink, outer } = subscribed(payload);
    const result = { data: { newMessage: { id: "msg_1" } }, extensions: { cursor: "one" } };
    sink.next(result);
    sink.error("broken");
    sink.complete();
    expect(outer.next).toHaveBeenCalledWith(result);
    expect(outer.error).toHaveBeenCalledWith("broken");
    expect(outer.complete).toHaveBeenCalledOnce();
  });
});
