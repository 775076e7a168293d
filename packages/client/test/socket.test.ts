import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createSwitchboard, type Switchboard } from "../src/index.ts";
import type { Environment } from "../src/environment.ts";
import { FakeSocket } from "./fake-socket.ts";

const document = 'subscription { newMessage(roomId: "r") { id } }';
const never = () => new Promise<Response>(() => undefined);

let client: Switchboard;
let wake: () => void;
let isOnline: boolean;

const environment: Environment = {
  isOnline: () => isOnline,
  watch: (onWake) => {
    wake = onWake;
    return () => undefined;
  },
};

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.opened = [];
  isOnline = true;
  client = createSwitchboard({
    url: "https://sb.test/graphql",
    webSocket: FakeSocket,
    fetch: never,
    environment,
    random: () => 1,
    backoff: { firstMs: 1_000, maxMs: 8_000 },
  });
});

afterEach(() => {
  client.close();
  vi.useRealTimers();
});

function listen() {
  const sink = { next: vi.fn(), error: vi.fn(), complete: vi.fn() };
  const stop = client.subscribe(document, undefined, sink);
  return { ...sink, stop };
}

/** Lets the client get its token, which is asynchronous. */
const settle = () => vi.advanceTimersByTimeAsync(0);
const now = () => client.state.getSnapshot();

async function connected() {
  const sink = listen();
  await settle();
  FakeSocket.last.acknowledge();
  FakeSocket.last.receive({ type: "ping", payload: { subscribed: "1", cursor: "c0" } });
  return sink;
}

describe("close codes", () => {
  test.each([1000, 1001, 1006, 1011, 1012, 1013, 4408, 4500])("%i is retried", async (code) => {
    const { error } = await connected();
    FakeSocket.last.closeBy(code, "the reason");
    expect(error).not.toHaveBeenCalled();
    expect(now()).toMatchObject({ status: "reconnecting", attempt: 1 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(FakeSocket.opened).toHaveLength(2);
  });

  test.each([1002, 1007, 1009, 4400, 4401, 4406, 4409, 4429])("%i is final", async (code) => {
    const { error } = await connected();
    FakeSocket.last.closeBy(code, "the reason");
    expect(error).toHaveBeenCalledOnce();
    expect(error.mock.lastCall?.[0]).toMatchObject({
      code: "PROTOCOL_ERROR",
      closeCode: code,
      message: expect.stringContaining(`${code} the reason`) as string,
    });
    expect(now()).toMatchObject({ status: "closed" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.opened).toHaveLength(1);
  });
});

describe("state", () => {
  test("names each step, and when the next try happens", async () => {
    const seen: string[] = [];
    client.state.subscribe(() => seen.push(now().status));
    await connected();
    FakeSocket.last.closeBy(1012);
    expect(now()).toEqual({
      status: "reconnecting",
      attempt: 1,
      nextTryAt: Date.now() + 1_000,
      reason: "The connection was closed: 1012",
    });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(now()).toMatchObject({ status: "reconnecting", attempt: 1, nextTryAt: null });
    FakeSocket.last.acknowledge();
    expect(now().status).toBe("catching-up");
    FakeSocket.last.receive({ type: "ping", payload: { subscribed: "1", cursor: "c1" } });
    expect(seen).toEqual([
      ...["connecting", "live", "reconnecting", "reconnecting", "catching-up", "live"],
    ]);
    client.close();
    expect(now()).toMatchObject({ status: "closed", error: null });
  });

  test("a snapshot is the same object until the next change", async () => {
    await connected();
    const before = now();
    FakeSocket.last.receive({ type: "next", id: "1", payload: { data: {} } });
    expect(now()).toBe(before);
  });

  test("offline is shown, and the return of the network is a reason to try at once", async () => {
    await connected();
    isOnline = false;
    FakeSocket.last.closeBy(1006);
    expect(now().status).toBe("offline");
    isOnline = true;
    wake();
    await settle();
    expect(FakeSocket.opened).toHaveLength(2);
    expect(now()).toMatchObject({ status: "reconnecting", nextTryAt: null });
  });
});

test("the waits grow while the connection breaks at once, and start again when it was stable", async () => {
  await connected();
  const waits: number[] = [];
  for (let attempt = 1; attempt <= 6; attempt += 1) {
    FakeSocket.last.closeBy(1013);
    const state = now();
    if (state.status !== "reconnecting") throw new Error(state.status);
    waits.push((state.nextTryAt ?? 0) - Date.now());
    await vi.advanceTimersByTimeAsync(waits.at(-1) ?? 0);
    FakeSocket.last.acknowledge();
  }
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
  await vi.advanceTimersByTimeAsync(8_000);
  FakeSocket.last.closeBy(1013);
  expect(now()).toMatchObject({ attempt: 1 });
});

test("a connection that does not answer a ping is replaced; a page that wakes asks at once", async () => {
  await connected();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(FakeSocket.last.sent.at(-1)).toEqual({ type: "ping" });
  FakeSocket.last.receive({ type: "pong" });
  wake();
  expect(FakeSocket.last.sent.filter(({ type }) => type === "ping")).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(FakeSocket.last.isClosed).toBe(true);
  expect(now()).toMatchObject({ status: "reconnecting" });
});

test("a reconnect starts after the position of the server's ping, and after the last result", async () => {
  const { next } = await connected();
  const after = () => JSON.stringify(FakeSocket.last.sent.at(-1)?.payload);
  FakeSocket.last.closeBy(1006);
  await vi.advanceTimersByTimeAsync(1_000);
  FakeSocket.last.acknowledge();
  expect(after()).toContain('after: \\"c0\\"');
  FakeSocket.last.receive({
    type: "next",
    id: "1",
    payload: { data: {}, extensions: { cursor: "c1" } },
  });
  expect(next).toHaveBeenCalledOnce();
  FakeSocket.last.closeBy(1006);
  await vi.advanceTimersByTimeAsync(2_000);
  FakeSocket.last.acknowledge();
  expect(after()).toContain('after: \\"c1\\"');
});

test("a subscription does not start while the application decides about a gap", async () => {
  let decide: (decision: "from-oldest") => void = () => undefined;
  const onGap = vi.fn(() => new Promise<"from-oldest">((resolve) => (decide = resolve)));
  client.subscribe(document, undefined, { next: vi.fn(), error: vi.fn() }, { onGap });
  await connected();
  const extensions = { code: "CURSOR_EXPIRED", oldest: "c-oldest" };
  const errors = [{ message: "expired", extensions }];
  FakeSocket.last.receive({ type: "error", id: "1", payload: errors });
  expect(onGap.mock.lastCall).toMatchObject([{ roomId: "r", oldest: "c-oldest" }]);
  FakeSocket.last.closeBy(1006);
  await vi.advanceTimersByTimeAsync(1_000);
  FakeSocket.last.acknowledge();
  const subscribed = () => FakeSocket.last.sent.filter(({ type }) => type === "subscribe");
  expect(subscribed()).toHaveLength(1);
  decide("from-oldest");
  await settle();
  expect(JSON.stringify(subscribed().at(-1)?.payload)).toContain("c-oldest");
  // A second gap at once would be an endless loop.
  FakeSocket.last.receive({ type: "error", id: "2", payload: errors });
  expect(onGap).toHaveBeenCalledOnce();
});

test("subscriptions share a socket, which closes after the last one", async () => {
  const first = await connected();
  const second = listen();
  expect(FakeSocket.opened).toHaveLength(1);
  expect(FakeSocket.last.sent.at(-1)).toMatchObject({ type: "subscribe", id: "2" });
  first.stop();
  expect(FakeSocket.last.sent.at(-1)).toEqual({ type: "complete", id: "1" });
  second.stop();
  expect(now().status).toBe("idle");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(FakeSocket.last.isClosed).toBe(true);
});

test("an error in a sink does not disturb the connection", async () => {
  const later = vi.spyOn(globalThis, "queueMicrotask").mockImplementation(() => undefined);
  const { next } = await connected();
  next.mockImplementationOnce(() => {
    throw new Error("a fault of the application");
  });
  for (let number = 1; number <= 2; number += 1) {
    FakeSocket.last.receive({ type: "next", id: "1", payload: { data: {} } });
  }
  expect(next).toHaveBeenCalledTimes(2);
  expect(now().status).toBe("live");
  expect(later).toHaveBeenCalledOnce();
  expect(later.mock.lastCall?.[0]).toThrow("a fault of the application");
  later.mockRestore();
});

test("a client that is closed accepts no subscription", () => {
  client.close();
  const { error } = listen();
  expect(error.mock.lastCall?.[0]).toMatchObject({ code: "CLOSED" });
});

test("a document without a subscription is refused at once", () => {
  const sink = { next: vi.fn(), error: vi.fn() };
  expect(() => client.subscribe("query Q { viewer { id } }", undefined, sink)).toThrow(
    /no subscription to run.*Q/,
  );
});
