import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { IdentityProvider, audience } from "../harness/identity-provider.ts";
import { Switchboard } from "../harness/switchboard.ts";
import { head, listen, roomId, saw, send } from "./chat.ts";
import type { TestClient } from "./clients/client.ts";
import { connectGraphQLWs } from "./clients/graphql-ws.ts";

// A real OpenID provider signs the tokens. The server knows only what the provider publishes.

let provider: IdentityProvider;
let server: Switchboard;
let clients: TestClient[];

describe.each(["RS256", "ES256"] as const)("tokens signed with %s", (algorithm) => {
  beforeEach(async () => {
    clients = [];
    provider = await IdentityProvider.start(algorithm);
    server = await Switchboard.start([
      ...["--auth", "jwt"],
      ...["--jwks-url", await provider.jwksUri()],
      ...["--jwt-issuer", provider.issuer],
      ...["--jwt-audience", audience],
      // Lets a test fetch the keys again without a wait.
      ...["--jwks-refetch-interval", "0s"],
    ]);
  });

  afterEach(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await server.destroy();
    await provider.stop();
  });

  test("a person signs in on the provider's pages, subscribes and sends by name", async () => {
    const token = await provider.personToken("ada-1");
    expect(part(token, 0)).toMatchObject({ alg: algorithm, typ: "at+jwt" });
    expect(part(token, 1)).toMatchObject({ iss: provider.issuer, aud: audience, sub: "ada-1" });
    const ada = opened(token);
    const { recorder } = listen(opened(token), await head(ada));
    await send(ada, "signed in elsewhere");
    await recorder.until(saw("signed in elsewhere"));
    expect(recorder.seen.map(({ sender }) => sender.name)).toEqual(["Ada"]);
    // Another token of the same person belongs to the same user.
    expect(await viewerOf(await provider.personToken("ada-1"))).toEqual(await viewerOf(token));
  });

  test("a program gets a token for itself, and its user has the name of its `sub`", async () => {
    const token = await provider.robotToken();
    expect(part(token, 1)).not.toHaveProperty("name");
    expect(await viewerOf(token)).toMatchObject({ status: 200, name: "robot" });
  });

  test("when the keys change, new tokens are valid at once and old ones are invalid", async () => {
    const before = await provider.personToken("ada-1");
    const open = opened(before);
    const { recorder } = listen(open, await head(open));
    const ada = await viewerOf(before);
    expect(ada.status).toBe(200);

    provider.startAgain(algorithm);
    const after = await provider.personToken("ada-1");
    expect(await viewerOf(after)).toEqual(ada);
    expect(await viewerOf(before)).toMatchObject({ status: 401, code: "UNAUTHENTICATED" });
    // An open connection stays until its token expires, as with any provider.
    await send(opened(after), "with the new key");
    await recorder.until(saw("with the new key"));
  });

  test("a token that is not a JWT is refused", async () => {
    const token = await provider.opaqueToken();
    expect(token.split(".")).toHaveLength(1);
    expect(await viewerOf(token)).toMatchObject({ status: 401, code: "UNAUTHENTICATED" });
  });

  test("a token of another provider is refused, even one with the right audience", async () => {
    const other = await IdentityProvider.start(algorithm);
    try {
      const token = await other.robotToken();
      expect(part(token, 1)).toMatchObject({ aud: audience });
      expect(await viewerOf(token)).toMatchObject({ status: 401, code: "UNAUTHENTICATED" });
    } finally {
      await other.stop();
    }
  });
});

function opened(token: string): TestClient {
  const client = connectGraphQLWs(server, { token });
  clients.push(client);
  return client;
}

/** The viewer whom the server sees in a token over HTTP, or the error code. */
async function viewerOf(token: string) {
  const response = await fetch(server.http, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: `{ viewer { id name } room(id: "${roomId}") { id } }` }),
  });
  const { data, errors } = (await response.json()) as {
    data?: { viewer: { id: string; name: string } };
    errors?: { extensions: { code: string } }[];
  };
  return { status: response.status, ...data?.viewer, code: errors?.[0]?.extensions.code };
}

/** The header (0) or the claims (1) of a token. */
function part(token: string, at: 0 | 1): unknown {
  return JSON.parse(Buffer.from(token.split(".")[at] ?? "", "base64url").toString());
}
