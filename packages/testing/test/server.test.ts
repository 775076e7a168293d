import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
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
  await server.request(send, { token: server.token("Ada"), variables: { text } });
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

test("the seed has the tokens of its users", () => {
  expect(server.token("Bob")).toBe("bob");
  expect(() => server.token("Eve")).toThrow("no token for the user Eve");
});

test("a persistent server keeps its messages through a kill, on the same port", async () => {
  await using other = await startSwitchboard({ seed, executable, persistent: true });
  const options = { token: other.token("Ada"), variables: { text: "kept" } };
  await other.request(send, options);
  const { pid } = other;
  await other.kill();
  expect(existsSync(`/proc/${pid}`)).toBe(false);
  await other.restart();
  expect(other.pid).not.toBe(pid);
  const query = '{ messages(roomId: "team") { nodes { text } } }';
  expect(await other.request(query)).toEqual({ messages: { nodes: [{ text: "kept" }] } });
  await expect(other.reset()).rejects.toThrow("persistent");
  await expect(server.restart()).rejects.toThrow("persistent");
});

test("nothing is left of a server that was killed and stopped", async () => {
  const before = await readdir(tmpdir());
  const other = await startSwitchboard({ executable });
  await other.kill();
  await other.stop();
  const left = (await readdir(tmpdir())).filter((name) => !before.includes(name));
  expect(left.filter((name) => name.startsWith("switchboard-test-"))).toEqual([]);
});

test("a server gets the variables of env, and no settings of the developer", async () => {
  process.env["SWITCHBOARD_PAGE_MAX"] = "many";
  try {
    await (await startSwitchboard({ executable })).stop();
    const started = startSwitchboard({ executable, env: { SWITCHBOARD_PAGE_MAX: "none" } });
    await expect(started).rejects.toThrow("'none'");
  } finally {
    delete process.env["SWITCHBOARD_PAGE_MAX"];
  }
});

test("without a test clock, the clock cannot be set", async () => {
  await using other = await startSwitchboard({ executable, testClock: false });
  await expect(other.clock.advance(1)).rejects.toThrow("The clock was not changed");
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
