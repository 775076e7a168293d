import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startSwitchboard, type TestServer } from "../src/index.ts";

const built = resolve(import.meta.dirname, "../../../target/debug/switchboard");
const given = process.env["SWITCHBOARD_BIN"];
const executable =
  given === undefined ? built : resolve(import.meta.dirname, "../../../web", given);
const seed = {
  users: [
    { name: "Ada", token: "ada" },
    { name: "Bob", token: "bob" },
  ],
  rooms: [{ id: "team", owner: "Ada", members: [{ user: "Bob" }] }],
};
const send = `mutation ($text: String!) {
  sendMessage(roomId: "team", text: $text) { createdAt }
}`;

let server: TestServer;

beforeAll(async () => {
  server = await startSwitchboard({ seed, executable });
});

beforeEach(() => server.reset());

afterAll(() => server.stop());

interface Sent {
  readonly sendMessage: { readonly createdAt: string };
}

async function texts(): Promise<string[]> {
  const query = '{ messages(roomId: "team") { nodes { text } } }';
  const { messages } = await server.request<{ messages: { nodes: { text: string }[] } }>(query);
  return messages.nodes.map(({ text }) => text);
}

test.each(["first", "second"])("each test begins with the seed: the %s", async (text) => {
  expect(await texts()).toEqual([]);
  await server.request(send, { token: "ada", variables: { text } });
  expect(await texts()).toEqual([text]);
});

test("an answer with errors is an error with the whole answer as its cause", async () => {
  const refused = server.request(send, { variables: { text: "x" } });
  await expect(refused).rejects.toMatchObject({
    cause: { errors: [{ extensions: { code: "UNAUTHENTICATED" } }] },
  });
});

test("the clock decides when a message was sent, and a reset sets it right", async () => {
  const year = new Date("2030-01-01T00:00:00Z");
  await server.clock.freeze();
  await server.clock.set(year);
  await server.clock.advance(1500);
  const { sendMessage } = await server.request<Sent>(send, {
    token: "ada",
    variables: { text: "x" },
  });
  expect(new Date(sendMessage.createdAt).getTime()).toBe(year.getTime() + 1500);
  await server.clock.unfreeze();
  await server.reset();
  expect(Math.abs((await server.clock.now()).getTime() - Date.now())).toBeLessThan(10_000);
  await expect(server.clock.advance(-1)).rejects.toThrow("advanceSeconds");
});

test("a stopped server has ended", async () => {
  const other = await startSwitchboard({ executable });
  expect(existsSync(`/proc/${other.pid}`)).toBe(true);
  expect(other.log).toContain("ready");
  await other.stop();
  expect(existsSync(`/proc/${other.pid}`)).toBe(false);
});

test("a server that does not start, and a missing one, give a reason", async () => {
  const flags = ["--page-max", "many"];
  await expect(startSwitchboard({ executable, flags })).rejects.toThrow("--page-max");
  const missing = startSwitchboard({ executable: "switchboard-that-is-not-there" });
  await expect(missing).rejects.toThrow("cargo install --locked");
  const users = [{ name: "Ada" }, { name: "Ada" }];
  const twice = startSwitchboard({ executable, seed: { users } });
  await expect(twice).rejects.toThrow("another user of the file has this name");
});
