import type { TransportName } from "@switchboard/client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Switchboard } from "../../../web/harness/switchboard.ts";
import { Clients, head, log, send } from "./chat.ts";
import { listen } from "./received.ts";
import { States } from "./states.ts";

const transports: TransportName[] = ["websocket", "sse"];

let clients: Clients;
let server: Switchboard;

beforeEach(async () => {
  clients = new Clients();
  server = await Switchboard.start(["--connections-max", "1"]);
});

afterEach(async () => {
  clients.close();
  await server.destroy();
});

test.each(transports)(
  "a full server is retried, and nothing is lost over %s",
  async (transport) => {
    const ada = await clients.signedIn(server, "Ada");
    const start = await head(ada);
    const first = clients.open(server, { transports: [transport] });
    const firstStates = new States(first);
    listen(first, start);
    await firstStates.reached("live");

    const second = clients.open(server, { transports: [transport] });
    const states = new States(second);
    const received = listen(second, start);
    await states.recorder.until((seen) =>
      seen.some((state) => state.status === "reconnecting" && state.attempt >= 2),
    );
    const state = states.recorder.seen.find(({ status }) => status === "reconnecting");
    expect(state).toMatchObject({
      attempt: 1,
      reason: expect.stringMatching(/1013|503/) as string,
    });

    await send(ada, "while the server was full");
    first.close();
    await received.saw("while the server was full");
    expect(received.texts).toEqual(await log(ada, start));
  },
);
