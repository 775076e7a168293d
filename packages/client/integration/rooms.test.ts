import {
  followRoom,
  type PresenceEvent,
  presenceReducer,
  type PresenceState,
  type Result,
  type RoomState,
  type Switchboard as Client,
  typingReducer,
} from "@switchboard/client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Switchboard } from "../../../web/harness/switchboard.ts";
import { Recorder } from "../../../web/interop/recorder.ts";
import { Clients, log, roomId, send } from "./chat.ts";
import { listen } from "./received.ts";

let clients: Clients;
let server: Switchboard;
let ada: Client;

beforeEach(async () => {
  clients = new Clients();
  server = await Switchboard.start([
    ...["--typing-interval", "0", "--presence-interval", "0"],
    ...["--presence-grace", "0", "--typing-lapse", "1m"],
  ]);
  ada = await clients.signedIn(server, "Ada");
});

afterEach(async () => {
  clients.close();
  await server.destroy();
});

function texts({ messages }: Pick<RoomState, "messages">): string[] {
  return messages.map(({ text }) => text);
}

describe("followRoom", () => {
  test("begins with the newest messages, and continues without a gap over kill -9", async () => {
    for (let number = 1; number <= 5; number += 1) await send(ada, `old ${number}`);
    const follower = followRoom(clients.open(server), roomId, { last: 3 });
    const added: string[] = [];
    let last: readonly string[] = [];
    let killed = false;
    for await (const state of follower) {
      if (last.length === 0) expect(texts(state)).toEqual(["old 3", "old 4", "old 5"]);
      added.push(...state.added.map(({ text }) => text));
      last = texts(state);
      expect(added).toEqual(last);
      if (!killed) {
        killed = true;
        await send(ada, "before");
        await server.kill();
        await server.startAgain();
        for (let number = 1; number <= 20; number += 1) await send(ada, `new ${number}`);
      }
      if (last.at(-1) === "new 20") break;
    }
    expect(last).toHaveLength(24);
    expect(new Set(last).size).toBe(24);
  });

  test("a slow loop skips states and misses no message; `keep` bounds the list", async () => {
    const follower = followRoom(clients.open(server), roomId, { keep: 10 });
    const sent = Array.from({ length: 30 }, (_none, index) => `message ${index + 1}`);
    const added: string[] = [];
    let statesCount = 0;
    for await (const state of follower) {
      statesCount += 1;
      added.push(...state.added.map(({ text }) => text));
      expect(texts(state)).toEqual(added.slice(-10));
      if (added.length === sent.length) break;
      // The loop is busy while five messages are sent.
      if (added.length % 5 === 0) {
        for (const text of sent.slice(added.length, added.length + 5)) await send(ada, text);
      }
    }
    expect(added).toEqual(sent);
    expect(statesCount).toBeLessThan(sent.length);
  });

  test("calls `onState` with each state, and `onError` with the end", async () => {
    const recorder = new Recorder<RoomState>();
    followRoom(clients.open(server), roomId, { onState: recorder.next });
    await recorder.until((seen) => seen.length === 1);
    await send(ada, "hello");
    await recorder.until((seen) => seen.length === 2);
    expect(recorder.seen.map(texts)).toEqual([[], ["hello"]]);

    const error = new Promise((onError) => {
      followRoom(ada, "no-such-room", { onError });
    });
    expect(await error).toMatchObject({ code: "NOT_FOUND" });
    await expect(followRoom(ada, "no-such-room")[Symbol.asyncIterator]().next()).rejects.toThrow(
      /no-such-room/,
    );
  });
});

describe("iterate", () => {
  const document = `subscription ($after: Cursor) {
    newMessage(roomId: "room-1", after: $after) { text }
  }`;

  test("a loop that is slower than the room continues at its position", async () => {
    const sender = await clients.signedIn(server, "Bob");
    const { room } = await ada.run<{ room: { head: string } }>('{ room(id: "room-1") { head } }');
    const client = clients.open(server);
    const results = client.iterate<{ newMessage: { text: string } }>(document, {
      after: room.head,
    });
    const count = 1_200;
    for (let number = 0; number < count; number += 20) {
      const batch = Array.from({ length: 20 }, (_none, index) => `${number + index}`);
      await Promise.all(batch.map((text) => send(sender, text)));
    }
    // The client stopped receiving when 1,000 results waited.
    await new Promise<void>((resolve) => {
      const look = () => {
        if (client.state.getSnapshot().status === "idle") resolve();
      };
      client.state.subscribe(look);
      look();
    });
    await server.kill();
    await server.startAgain();
    const received: (string | undefined)[] = [];
    for await (const { data } of results) {
      received.push(data?.newMessage.text);
      if (received.length === count) break;
    }
    expect(received).toEqual(await log(ada, room.head));
  });

  test("ends when the client is closed, and throws the error of the subscription", async () => {
    const client = clients.open(server);
    const results = client.iterate(document);
    const next = results.next();
    client.close();
    expect(await next).toEqual({ done: true, value: undefined });

    const failing = ada.iterate('subscription { newMessage(roomId: "none") { text } }');
    await expect(failing.next()).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await failing.next()).toMatchObject({ done: true });
  });
});

interface Who {
  readonly user: { readonly id: string; readonly name: string };
}

const presenceDocument = `subscription {
  presence(roomId: "room-1") {
    count
    present { user { id name } }
    joined { user { id name } }
    left { id }
  }
}`;

describe("reducers", () => {
  test("presence follows joins, leaves and a restart", async () => {
    const recorder = new Recorder<string>();
    let state: PresenceState<Who> | undefined;
    clients.open(server).subscribe(presenceDocument, undefined, {
      next: (result) => {
        state = presenceReducer(state, result as Result<{ presence: PresenceEvent<Who> }>);
        recorder.next(`${state?.count}: ${state?.users.map(({ user }) => user.name).join()}`);
      },
      error: recorder.error,
    });
    const reached = (expected: string) => recorder.until((seen) => seen.at(-1) === expected);
    await reached("0: ");
    const adas = listen(ada);
    await reached("1: Ada");
    const bob = await clients.signedIn(server, "Bob");
    const bobs = listen(bob);
    await reached("2: Ada,Bob");
    adas.stop();
    await reached("1: Bob");
    await server.kill();
    await server.startAgain();
    await reached("1: Bob");
    bobs.stop();
    await reached("0: ");
  });

  test("typing lists the users of the last result", async () => {
    const recorder = new Recorder<string>();
    let users: readonly { readonly id: string; readonly name: string }[] | undefined;
    clients
      .open(server)
      .subscribe<{ typing: { users: { id: string; name: string }[] } }>(
        'subscription { typing(roomId: "room-1") { users { id name } } }',
        undefined,
        {
          next: (result) => {
            users = typingReducer(users, result);
            recorder.next(users?.map(({ name }) => name).join() ?? "none");
          },
          error: recorder.error,
        },
      );
    await recorder.until((seen) => seen.at(-1) === "");
    await ada.run('mutation { setTyping(roomId: "room-1") }');
    await recorder.until((seen) => seen.at(-1) === "Ada");
    await ada.run('mutation { setTyping(roomId: "room-1", typing: false) }');
    await recorder.until((seen) => seen.at(-1) === "");
  });
});
