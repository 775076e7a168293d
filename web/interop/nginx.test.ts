import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Nginx, type Setup } from "../harness/nginx.ts";
import { Switchboard } from "../harness/switchboard.ts";
import { head, listen, saw, send, signIn } from "./chat.ts";
import type { Connect } from "./clients/client.ts";
import { connectGraphQLWs } from "./clients/graphql-ws.ts";
import { libraries, type Library, named } from "./clients/libraries.ts";

// The default is a little more than nginx waits for a server that sends nothing.
const idleSeconds = Number(process.env["SWITCHBOARD_IDLE_SECONDS"] ?? "65");
const startAndStopMs = 60_000;

const setups: [Setup, readonly Library[]][] = [
  ["for WebSockets", libraries],
  ["bare", libraries.filter(({ over }) => over === "HTTP")],
];

describe.concurrent.each(setups)(
  `behind nginx, %s, idle for ${idleSeconds} s`,
  (setup, passing) => {
    test.each(named(passing))(
      "%s",
      async (_name, { connect }) => {
        // Its own, so that no other client's message ends the silence.
        const server = await Switchboard.start();
        try {
          await staysAlive(server, setup, connect);
        } finally {
          await server.destroy();
        }
      },
      idleSeconds * 1000 + startAndStopMs,
    );
  },
);

async function staysAlive(server: Switchboard, setup: Setup, connect: Connect): Promise<void> {
  const nginx = await Nginx.start(server.port, setup);
  const reader = connectGraphQLWs(server);
  const ada = connectGraphQLWs(server, { token: await signIn(reader, "Ada") });
  const listener = connect(nginx);
  try {
    const { recorder } = listen(listener, await head(reader));
    // It arrives while the answer goes on: nginx keeps nothing back.
    await send(ada, "before");
    await recorder.until(saw("before"));
    const ended = await nginx.ended();

    await setTimeout(idleSeconds * 1000);
    await send(ada, "after");
    await recorder.until(saw("after"));

    expect(recorder.seen.map(({ text }) => text)).toEqual(["before", "after"]);
    // The same stream brought both: a client that had come back would have left a line.
    expect(await nginx.ended()).toEqual(ended);
  } finally {
    await Promise.all([reader, ada, listener].map((client) => client.close()));
    await nginx.stop();
  }
}
