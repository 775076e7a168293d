import { describe, expect, test, vi } from "vitest";
import { createSwitchboard } from "../src/index.ts";

const answer = { data: { sendMessage: { id: "1" } } };
const plain = 'mutation { sendMessage(roomId: "r", text: "t") { id } }';
const withNonce = 'mutation { sendMessage(roomId: "r", text: "t", nonce: "n") { id } }';
const withVariable = `mutation ($nonce: String) {
  sendMessage(roomId: "r", text: "t", nonce: $nonce) { id }
}`;
const query = "{ viewer { id } }";

/** A client whose first request ends with `first`, and whose further requests are answered. */
function failingOnce(first: () => Promise<Response>) {
  const fetch = vi.fn<typeof globalThis.fetch>(() => Promise.resolve(Response.json(answer)));
  fetch.mockImplementationOnce(first);
  const url = "http://sb.test/graphql";
  const backoff = { firstMs: 1, maxMs: 1 };
  return { client: createSwitchboard({ url, fetch, backoff, transports: ["sse"] }), fetch };
}

const broken = () => Promise.reject(new Error("the connection broke"));
const limited = () =>
  Promise.resolve(
    Response.json(
      { errors: [{ message: "too fast", extensions: { code: "RATE_LIMITED" } }] },
      { status: 429, headers: { "retry-after": "0" } },
    ),
  );
const gateway = () => Promise.resolve(new Response("<html>", { status: 502 }));

describe("a request whose answer is lost", () => {
  test.each([
    ["a query", query, {}],
    ["a mutation with a nonce", withNonce, {}],
    ["a mutation whose nonce is a variable", withVariable, { nonce: "n" }],
  ])("is sent again: %s", async (_what, document, variables) => {
    for (const failure of [broken, gateway]) {
      const { client, fetch } = failingOnce(failure);
      await expect(client.run(document, variables)).resolves.toEqual(answer.data);
      expect(fetch).toHaveBeenCalledTimes(2);
    }
  });

  test.each([
    ["a mutation without a nonce", plain, {}],
    ["a mutation whose nonce is missing", withVariable, {}],
    ["a mutation with another field", withNonce.replace("{ send", "{ signOut send"), {}],
  ])("is not sent again: %s", async (_what, document, variables) => {
    for (const failure of [broken, gateway]) {
      const { client, fetch } = failingOnce(failure);
      await expect(client.run(document, variables)).rejects.toMatchObject({
        code: "CONNECTION_FAILED",
      });
      expect(fetch).toHaveBeenCalledOnce();
    }
  });
});

test("any request that the server did not execute is sent again", async () => {
  const { client, fetch } = failingOnce(limited);
  await expect(client.run(plain)).resolves.toEqual(answer.data);
  expect(fetch).toHaveBeenCalledTimes(2);
});

test("a request is not repeated longer than asked", async () => {
  const { client } = failingOnce(broken);
  await expect(client.run(query, {}, { retryForMs: -1 })).rejects.toThrow(/the connection broke/);
});

test("Retry-After is honoured, as seconds and as a date", async () => {
  const later = new Date(Date.now() + 100_000).toUTCString();
  for (const value of ["100", later]) {
    const busy = () =>
      Promise.resolve(new Response("", { status: 503, headers: { "retry-after": value } }));
    const { client } = failingOnce(busy);
    // The wait would be longer than the request may be repeated.
    await expect(client.run(query, {}, { retryForMs: 50_000 })).rejects.toMatchObject({
      code: "CONNECTION_FAILED",
    });
  }
});

test("a signal ends the request, during a wait too", async () => {
  const { client } = failingOnce(() =>
    Promise.resolve(new Response("", { status: 503, headers: { "retry-after": "1000" } })),
  );
  const abort = new AbortController();
  const run = client.run(query, {}, { signal: abort.signal, retryForMs: Infinity });
  abort.abort(new Error("no longer needed"));
  await expect(run).rejects.toThrow("no longer needed");
});

test("`run` rejects on any error, with the partial data; `execute` returns both", async () => {
  const errors = [{ message: "muted", extensions: { code: "FORBIDDEN" } }];
  const partial = { data: { sendMessage: null }, errors };
  const { client, fetch } = failingOnce(() => Promise.resolve(Response.json(partial)));
  await expect(client.run(plain)).rejects.toMatchObject({
    code: "FORBIDDEN",
    message: "muted",
    data: partial.data,
    errors,
  });
  fetch.mockImplementationOnce(() => Promise.resolve(Response.json(partial)));
  await expect(client.execute(plain)).resolves.toEqual(partial);
});

describe("a request that the server refuses because it does not know the user of the token", () => {
  const refusal = {
    data: { sendMessage: null },
    errors: [{ message: "unknown user", extensions: { code: "UNAUTHENTICATED" } }],
  };

  /** A client whose server refuses the tokens in `unknown`. Collects the tokens of its requests. */
  function refusing(
    unknown: readonly string[],
    tokens: (string | null)[],
    first: object = refusal,
  ) {
    const sent: (string | null)[] = [];
    const fetch = vi.fn<typeof globalThis.fetch>((_url, init) => {
      const token = new Headers(init?.headers).get("authorization")?.slice("Bearer ".length);
      sent.push(token ?? null);
      const isRefused = token === undefined || unknown.includes(token);
      return Promise.resolve(Response.json(isRefused ? first : answer));
    });
    let current = tokens.shift() ?? null;
    const client = createSwitchboard({
      url: "http://sb.test/graphql",
      fetch,
      transports: ["sse"],
      token: ({ reason }) => {
        if (reason === "refused") current = tokens.shift() ?? null;
        return current;
      },
    });
    return { client, sent };
  }

  const refused = { code: "UNAUTHENTICATED" };

  test("is sent again with a new token", async () => {
    const { client, sent } = refusing(["old"], ["old", "new"]);
    await expect(client.run(withNonce)).resolves.toEqual(answer.data);
    expect(sent).toEqual(["old", "new"]);
  });

  test("is an error if there is no new token", async () => {
    const { client, sent } = refusing(["old"], ["old"]);
    await expect(client.run(withNonce)).rejects.toMatchObject(refused);
    expect(sent).toEqual(["old"]);
  });

  test("is an error if the new token is refused too", async () => {
    const { client, sent } = refusing(["old", "new"], ["old", "new", "newer"]);
    await expect(client.run(withNonce)).rejects.toMatchObject(refused);
    expect(sent).toEqual(["old", "new"]);
  });

  test("is an error if it cannot be repeated, had no token, or was executed in part", async () => {
    const partial = { ...refusal, data: { one: { id: "1" }, two: null } };
    for (const [document, tokens, result] of [
      [plain, ["old", "new"], refusal],
      [withNonce, [], refusal],
      [withNonce, ["old", "new"], partial],
    ] as const) {
      const { client, sent } = refusing(["old"], [...tokens], result);
      await expect(client.run(document)).rejects.toMatchObject(refused);
      expect(sent).toHaveLength(1);
    }
  });
});
