import { copyFile, rm } from "node:fs/promises";
import type { Gap, GapDecision, TransportName } from "@switchboard/client";
import { followRoom } from "@switchboard/client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Switchboard } from "../../../web/harness/switchboard.ts";
import { Clients, head, log, roomId, send } from "./chat.ts";
import { listen } from "./received.ts";
import { States } from "./states.ts";

const transports: TransportName[] = ["websocket", "sse", "poll"];

let clients: Clients;
let server: Switchboard;
let backup: string;

beforeEach(async () => {
  clients = new Clients();
  server = await Switchboard.start();
  backup = `${server.database}.copy`;
  await send(await clients.signedIn(server, "Ada"), "old 1");
  await server.stop();
  await copyFile(server.database, backup);
  await server.startAgain();
});

afterEach(async () => {
  clients.close();
  await server.destroy();
});

/** Puts the copy in the place of the database, as after a loss of the disk. */
async function restore(): Promise<void> {
  await server.stop();
  await Promise.all(["-wal", "-shm"].map((end) => rm(server.database + end, { force: true })));
  await copyFile(backup, server.database);
  await server.startAgain();
}

/** A reader that is ahead of the restored log, and what it receives afterwards. */
async function restored(transport: TransportName, decision?: GapDecision) {
  const gaps: Gap[] = [];
  const reader = clients.open(server, {
    transports: [transport],
    ...(decision && {
      onGap: (gap: Gap) => {
        gaps.push(gap);
        return decision;
      },
    }),
  });
  const states = new States(reader);
  const received = listen(reader, await head(reader));
  await send(await clients.signedIn(server, "Bob"), "lost");
  await received.saw("lost");
  await restore();
  return { reader, received, gaps, states };
}

describe.each(transports)("over %s", (transport) => {
  test("an expired cursor is an error by default, with the oldest cursor", async () => {
    const { received } = await restored(transport);
    const error = received.recorder.until(() => false);
    await expect(error).rejects.toMatchObject({
      code: "CURSOR_EXPIRED",
      oldest: expect.any(String) as string,
    });
    expect(received.texts).toEqual(["lost"]);
  });

  test("onGap can continue from the oldest message", async () => {
    const { received, gaps, reader } = await restored(transport, "from-oldest");
    await received.saw("old 1");
    await send(await clients.signedIn(server, "Cy"), "new");
    await received.saw("new");
    expect(gaps).toMatchObject([{ roomId }]);
    const [gap] = gaps;
    expect(received.texts).toEqual(["lost", ...(await log(reader, gap?.oldest ?? ""))]);
  });

  test("onGap can continue from now", async () => {
    const { received, gaps, states } = await restored(transport, "from-now");
    await states.recorder.until(
      (seen) => gaps.length === 1 && ["live"].includes(seen.at(-1)?.status ?? ""),
    );
    await send(await clients.signedIn(server, "Cy"), "new");
    await received.saw("new");
    expect(received.texts).toEqual(["lost", "new"]);
  });
});

test.each<[GapDecision, number, string[]]>([
  ["from-oldest", 0, ["old 1", "new"]],
  ["from-now", 1, ["old 1", "new"]],
])("followRoom begins a new list %s", async (decision, last, texts) => {
  const reader = clients.open(server);
  const follower = followRoom(reader, roomId, { last: 1 + last, onGap: () => decision });
  const ada = await clients.signedIn(server, "Ada");
  await send(ada, "lost");
  const seen: string[][] = [];
  for await (const { messages } of follower) {
    seen.push(messages.map(({ text }) => text));
    const now = seen.at(-1)?.join();
    if (now?.endsWith("lost")) await restore();
    if (now === "old 1" && seen.some((list) => list.includes("lost"))) {
      await send(await clients.signedIn(server, "Cy"), "new");
    }
    if (now?.endsWith("new")) break;
  }
  expect(seen.at(-1)).toEqual(texts);
});
