import type { FetcherOpts, Observable } from "@graphiql/toolkit";
import type { ExecutionResult } from "graphql";
import type { Client, ClientOptions, Sink, SubscribePayload } from "graphql-ws";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createFetcher } from "./fetcher.ts";
import { ConnectionStatus } from "./status.ts";

const endpoints = { http: "http://sb.test/graphql", webSocket: "ws://sb.test/graphql" };
const subscription = `subscription { newMessage(roomId: "room-1") { id } }`;
const query = "{ viewer { id } }";

type Subscribe = (payload: SubscribePayload, sink: Sink) => () => void;

const unsubscribe = vi.fn<() => void>();
const subscribe = vi.fn<Subscribe>(() => unsubscribe);
const connect = vi.fn((options: ClientOptions) => ({ options, subscribe }) as unknown as Client);
const httpFetch = vi.fn<typeof fetch>();
const status = new ConnectionStatus();
const fetcher = createFetcher(endpoints, status, connect);

beforeEach(() => {
  httpFetch.mockResolvedValue(Response.json({ data: { viewer: null } }));
  vi.stubGlobal("fetch", httpFetch);
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.clearAllMocks();
});

function run(text: string, headers?: unknown) {
  return fetcher({ query: text }, { headers } as FetcherOpts);
}

function listen(headers?: unknown) {
  const sink = { next: vi.fn(), error: vi.fn(), complete: vi.fn() };
  const started = (run(subscription, headers) as Observable<ExecutionResult>).subscribe(sink);
  return { sink, started };
}

function requestHeaders() {
  return new Headers(httpFetch.mock.lastCall?.[1]?.headers);
}

describe("queries and mutations", () => {
  test("go over HTTP, with the typed headers", async () => {
    await expect(run(query, { Authorization: "Bearer t" })).resolves.toEqual({
      data: { viewer: null },
    });
    expect(httpFetch.mock.lastCall?.[0]).toBe(endpoints.http);
    expect(requestHeaders().get("authorization")).toBe("Bearer t");
    expect(requestHeaders().get("content-type")).toBe("application/json");
    expect(connect).not.toHaveBeenCalled();
  });

  test("an answer that is not JSON is shown as text", async () => {
    httpFetch.mockResolvedValue(
      new Response("upstream is away", { status: 502, statusText: "Bad Gateway" }),
    );
    await expect(run(query)).rejects.toThrow("502 Bad Gateway: upstream is away");
  });
});

describe("subscriptions", () => {
  test("go over a WebSocket whose connection_init carries the typed headers", () => {
    listen({ Authorization: "Bearer t", "X-Trace": "1" });
    expect(connect.mock.lastCall?.[0]).toMatchObject({
      url: endpoints.webSocket,
      connectionParams: { Authorization: "Bearer t", "X-Trace": "1" },
      retryAttempts: Infinity,
    });
    expect(httpFetch).not.toHaveBeenCalled();
  });

  test("each run opens its own connection, with the headers of that run", () => {
    listen({ Authorization: "Bearer one" });
    listen({ Authorization: "Bearer two" });
    expect(connect.mock.calls.map(([options]) => options.connectionParams)).toEqual([
      { Authorization: "Bearer one" },
      { Authorization: "Bearer two" },
    ]);
  });

  test.each([undefined, null, "text", 7, ["a"], {}, { a: 1, b: null, c: {} }])(
    "headers that are not strings are dropped: %j",
    (headers) => {
      listen(headers);
      expect(connect.mock.lastCall?.[0].connectionParams).toEqual({});
    },
  );

  test("results, completion and readable errors reach GraphiQL, and stopping unsubscribes", () => {
    const { sink, started } = listen();
    const inner = subscribe.mock.lastCall?.[1];
    inner?.next({ data: { newMessage: { id: "msg_1" } } });
    inner?.error({ code: 4403, reason: "Forbidden" });
    inner?.complete();
    expect(sink.next).toHaveBeenCalledWith({
      received: 1,
      newestFirst: [{ data: { newMessage: { id: "msg_1" } } }],
    });
    expect(sink.error).toHaveBeenCalledWith(new Error("The connection was closed: 4403 Forbidden"));
    expect(sink.complete).toHaveBeenCalledOnce();
    started.unsubscribe();
    expect(unsubscribe).toHaveBeenCalledOnce();
    expect(status.getSnapshot()).toBe("Stopped");
  });

  test("the state of the connection is shown", async () => {
    listen();
    expect(status.getSnapshot()).toBe("Connecting …");
    const options = connect.mock.lastCall?.[0];
    options?.on?.connected?.({}, undefined, false);
    expect(status.getSnapshot()).toBe("Connected");
    options?.on?.closed?.({ code: 1012, reason: "Service Restart" });
    expect(status.getSnapshot()).toBe("Closed with 1012 Service Restart");
    vi.useFakeTimers();
    const waited = options?.retryWait?.(1);
    expect(status.getSnapshot()).toBe("Reconnecting in 0.5 s (attempt 2)");
    vi.runAllTimers();
    vi.useRealTimers();
    await waited;
    options?.on?.closed?.({ code: 4403, reason: "Forbidden" });
    expect(status.getSnapshot()).toContain("put a valid token into the Headers");
  });
});
