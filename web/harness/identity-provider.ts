import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type RequestListener, type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import Provider, { type AsymmetricSigningAlgorithm, type JWK } from "oidc-provider";

const robot = { id: "robot", secret: "a secret of the robot's own" };
const page = { id: "page", redirectUri: "https://page.example/signed-in" };

const basic = Buffer.from(`${robot.id}:${encodeURIComponent(robot.secret)}`).toString("base64");
const robotsOwn = { authorization: `Basic ${basic}` };

/** The resource that clients request, which becomes the `aud` of the access tokens. */
export const audience = "https://chat.example/graphql";

/** A real OpenID provider (oidc-provider) on loopback. A change of its keys keeps its address. */
export class IdentityProvider {
  readonly issuer: string;
  readonly #server: Server;
  #handle: RequestListener = (_request, response) => response.writeHead(503).end();

  private constructor(server: Server) {
    this.#server = server;
    this.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(algorithm: AsymmetricSigningAlgorithm): Promise<IdentityProvider> {
    const server = createServer((request, response) => {
      provider.#handle(request, response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const provider = new IdentityProvider(server);
    provider.startAgain(algorithm);
    return provider;
  }

  /** Simulates a restart with new keys. The provider no longer accepts its earlier tokens. */
  startAgain(algorithm: AsymmetricSigningAlgorithm): void {
    const provider = new Provider(this.issuer, {
      jwks: { keys: [newKey(algorithm)] },
      cookies: { keys: [randomBytes(32).toString("hex")] },
      clientDefaults: { id_token_signed_response_alg: algorithm },
      clients: [
        {
          client_id: robot.id,
          client_secret: robot.secret,
          grant_types: ["client_credentials"],
          redirect_uris: [],
          response_types: [],
        },
        {
          client_id: page.id,
          redirect_uris: [page.redirectUri],
          token_endpoint_auth_method: "none",
        },
      ],
      findAccount: (_context, id) => ({
        accountId: id,
        claims: () => ({ sub: id }),
      }),
      // By default an access token identifies a user but does not contain the user's name.
      extraTokenClaims: (_context, token) =>
        "accountId" in token && token.accountId === "ada-1" ? { name: "Ada" } : {},
      features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: () => ({
            scope: "chat",
            audience,
            accessTokenFormat: "jwt",
            jwt: { sign: { alg: algorithm } },
          }),
        },
      },
    });
    const handle = provider.callback();
    this.#handle = (request, response) => {
      void handle(request, response);
    };
  }

  /** The URL of the key set, from the provider's discovery document. */
  async jwksUri(): Promise<string> {
    return (await this.#discover()).jwks_uri;
  }

  /** A token that a program gets for itself (client credentials). */
  async robotToken(): Promise<string> {
    return this.#token({ grant_type: "client_credentials" }, robotsOwn);
  }

  /** A token without a requested resource. It is opaque: only the provider can read it. */
  async opaqueToken(): Promise<string> {
    return this.#token({ grant_type: "client_credentials" }, robotsOwn, {});
  }

  /** A token of a user who signs in on a page (authorization code with PKCE). */
  async personToken(accountId: string): Promise<string> {
    const verifier = randomBytes(32).toString("base64url");
    const code = await this.#code(accountId, verifier);
    return this.#token({
      grant_type: "authorization_code",
      client_id: page.id,
      redirect_uri: page.redirectUri,
      code_verifier: verifier,
      code,
    });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #discover() {
    const response = await fetch(`${this.issuer}/.well-known/openid-configuration`);
    return (await response.json()) as {
      jwks_uri: string;
      token_endpoint: string;
      authorization_endpoint: string;
    };
  }

  async #token(
    grant: Record<string, string>,
    headers: HeadersInit = {},
    use: Record<string, string> = { resource: audience, scope: "chat" },
  ): Promise<string> {
    const { token_endpoint } = await this.#discover();
    const response = await fetch(token_endpoint, {
      method: "POST",
      headers,
      body: new URLSearchParams({ ...grant, ...use }),
    });
    const answer = (await response.json()) as { access_token?: string };
    if (answer.access_token === undefined) throw new Error(JSON.stringify(answer));
    return answer.access_token;
  }

  /** Signs in and consents on the provider's pages, as a browser would; returns the code. */
  async #code(accountId: string, verifier: string): Promise<string> {
    const { authorization_endpoint } = await this.#discover();
    const browser = new Browser();
    const query = new URLSearchParams({
      client_id: page.id,
      redirect_uri: page.redirectUri,
      response_type: "code",
      scope: "openid chat",
      resource: audience,
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    });
    let at = await browser.follow(`${authorization_endpoint}?${query.toString()}`);
    for (const form of [
      { prompt: "login", login: accountId, password: "any" },
      { prompt: "consent" },
    ]) {
      at = await browser.follow(at, form);
    }
    const code = new URL(at).searchParams.get("code");
    if (code === null) throw new Error(`The provider gave no code: ${at}`);
    return code;
  }
}

/** The parts of a browser that signing in needs: cookies and redirects. */
class Browser {
  readonly #cookies = new Map<string, string>();

  /**
   * Requests a URL or submits a form, and follows redirects up to a page or to another site.
   * Returns the URL where it ended.
   */
  async follow(url: string, form?: Record<string, string>): Promise<string> {
    const home = new URL(url).origin;
    let [at, submitted] = [url, form];
    while (new URL(at).origin === home) {
      const response = await fetch(at, {
        redirect: "manual",
        headers: {
          cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; "),
        },
        ...(submitted && { method: "POST", body: new URLSearchParams(submitted) }),
      });
      submitted = undefined;
      for (const cookie of response.headers.getSetCookie()) this.#keep(cookie);
      const next = response.headers.get("location");
      if (next === null) {
        if (!response.ok) throw new Error(`${response.status} at ${at}: ${await response.text()}`);
        return at;
      }
      at = new URL(next, at).href;
    }
    return at;
  }

  #keep(cookie: string): void {
    const [pair = ""] = cookie.split(";");
    const [name = "", ...value] = pair.split("=");
    this.#cookies.set(name, value.join("="));
  }
}

function newKey(algorithm: AsymmetricSigningAlgorithm): JWK {
  const { privateKey } =
    algorithm === "ES256"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = privateKey.export({ format: "jwk" });
  return { ...key, kid: randomBytes(8).toString("hex"), use: "sig", alg: algorithm };
}
