import type { Token, TokenRequest, TransportName } from "@switchboard/client";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Switchboard } from "../../../web/harness/switchboard.ts";
import { Clients, head, log, send, signIn } from "./chat.ts";
import { listen } from "./received.ts";
import { States } from "./states.ts";

const transports: TransportName[] = ["websocket", "sse", "poll"];

let clients: Clients;
let server: Switchboard;

beforeEach(async () => {
  clients = new Clients();
  server = await Switchboard.start();
});

afterEach(async () => {
  clients.close();
  await server.destroy();
});

/** Signs in, and returns the token and a function that revokes it. */
async function session(name: string) {
  const token = await signIn(clients.open(server), name);
  const revoke = () => clients.open(server, { token }).run("mutation { signOut }");
  return { token, revoke };
}

describe.each(transports)("over %s", (transport) => {
  test("a revoked token is replaced once, and nothing is lost", async () => {
    const [first, second] = [await session("Ada"), await session("Ada again")];
    const token = vi.fn(({ reason }: TokenRequest) =>
      reason === "refused" ? second.token : first.token,
    );
    const sender = await clients.signedIn(server, "Bob");
    const start = await head(sender);
    const reader = clients.open(server, { token, transports: [transport] });
    const received = listen(reader, start);
    await send(sender, "before");
    await received.saw("before");
    await first.revoke();
    await send(sender, "after");
    await received.saw("after");
    expect(received.texts).toEqual(await log(sender, start));
    const questions = token.mock.calls.map(([request]) => request);
    expect(questions.filter(({ reason }) => reason === "refused")).toEqual([
      { reason: "refused", refused: first.token, message: expect.any(String) as string },
    ]);
  });

  test.each<[string, (token: string) => Token, RegExp]>([
    ["the same token again", (token) => () => token, /returned the refused token again/],
    [
      "no token",
      (token) =>
        ({ reason }) =>
          reason === "refused" ? null : token,
      /no other/,
    ],
    [
      "a token that is refused too",
      (token) =>
        ({ reason }) =>
          `${token}${reason}`,
      /also refused/,
    ],
    ["no function", (token) => token, /Pass `token` as a function/],
  ])("an error says what to do after %s", async (_what, tokenFor, message) => {
    const ada = await session("Ada");
    await ada.revoke();
    const reader = clients.open(server, { token: tokenFor(ada.token), transports: [transport] });
    const states = new States(reader);
    const error = listen(reader, await head(clients.open(server))).recorder.until(() => false);
    await expect(error).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    await expect(error).rejects.toThrow(message);
    await expect(error).rejects.toThrow(/Sign in again/);
    await states.reached("closed");
  });

  test("a new subscription after the error asks for the token again", async () => {
    const [old, fresh] = [await session("Ada"), await session("Ada again")];
    await old.revoke();
    let current = old.token;
    const reader = clients.open(server, { token: () => current, transports: [transport] });
    const refused = listen(reader).recorder.until(() => false);
    await expect(refused).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    current = fresh.token;
    const start = await head(reader);
    const received = listen(reader, start);
    await send(reader, "signed in again");
    await received.saw("signed in again");
  });
});

test("queries and mutations renew the token too, and share one question", async () => {
  const [first, second] = [await session("Ada"), await session("Ada again")];
  await first.revoke();
  const token = vi.fn(({ reason }: TokenRequest) =>
    reason === "refused" ? second.token : first.token,
  );
  const client = clients.open(server, { token });
  const names = await Promise.all(
    [1, 2, 3].map(() => client.run<{ viewer: { name: string } }>("{ viewer { name } }")),
  );
  expect(names.map(({ viewer }) => viewer.name)).toEqual(Array(3).fill("Ada again"));
  const questions = token.mock.calls.filter(([{ reason }]) => reason === "refused");
  expect(questions).toHaveLength(1);
});
