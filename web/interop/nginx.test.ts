import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Nginx, type Setup } from "../harness/nginx.ts";
import { Switchboard } from "../harness/switchboard.ts";
import { head, listen, saw, send, signIn } from "./chat.ts";
import type { Connect } from "./clients/client.ts";
import { connectGraphQLWs } from "./clients/graphql-ws.ts";
import { libraries, type Library, named } from "./clients/libraries.ts";

// By default a little longer than nginx waits for a silent server.
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
        // A server for this client alone, so that no other message ends the silence.
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
    // The message arrives while the answer is still open: nginx does not hold it back.
    await send(ada, "before");
    await recorder.until(saw("before"));
    const ended = await nginx.ended();

    await setTimeout(idleSeconds * 1000);
    await send(ada, "after");
    await recorder.until(saw("after"));

    expect(recorder.seen.map(({ text }) => text)).toEqual(["before", "after"]);
    // Both messages came over the same stream: a reconnect would have added a line to the log.
    expect(await nginx.ended()).toEqual(ended);
  } finally {
    await Promise.all([reader, ada, listener].map((client) => client.close()));
    await nginx.stop();
  }
}
