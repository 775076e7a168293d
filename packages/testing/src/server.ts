import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clockAt, type TestClock } from "./clock.ts";
import { type Ready, ServerProcess } from "./process.ts";
import type { Seed } from "./seed.ts";

export interface StartOptions {
  /** The data to begin with. */
  readonly seed?: Seed;
  /** Further flags of `switchboard serve`. */
  readonly flags?: readonly string[];
  /** The path of the executable; else `SWITCHBOARD_BIN`, else `switchboard` in the PATH. */
  readonly executable?: string;
  /** How long the server may take to start; 10 seconds unless it is given. */
  readonly startTimeoutMs?: number;
}

export interface RequestOptions {
  /** The token of the caller; without it, the caller is anonymous. */
  readonly token?: string;
  readonly variables?: Record<string, unknown>;
}

/** A server on a free port of this machine, with a database that ends with it. */
export interface TestServer extends AsyncDisposable {
  /** The endpoint, for queries, mutations and event streams. */
  readonly url: string;
  /** The endpoint for WebSockets. */
  readonly webSocketUrl: string;
  readonly address: string;
  readonly pid: number;
  readonly version: string;
  readonly clock: TestClock;
  /** What the server has logged. */
  readonly log: string;
  /**
   * Runs a query or a mutation over HTTP and returns its `data`. Rejects if the answer has errors;
   * the error's `cause` is then the whole answer.
   */
  request<T = Record<string, unknown>>(query: string, options?: RequestOptions): Promise<T>;
  /**
   * Begins again with the seed and the time of the system. All connections are closed, and cursors
   * from before are refused.
   */
  reset(): Promise<void>;
  /** Stops the server and removes its database. */
  stop(): Promise<void>;
}

const startTimeoutMs = 10_000;

/** Starts a server. It ends with `stop()`, or with this process. */
export async function startSwitchboard(options: StartOptions = {}): Promise<TestServer> {
  const executable = options.executable ?? process.env["SWITCHBOARD_BIN"] ?? "switchboard";
  const folder = await mkdtemp(join(tmpdir(), "switchboard-seed-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  const seed = join(folder, "seed.json");
  await writeFile(seed, JSON.stringify(options.seed ?? {}));
  const flags = ["serve", "--ephemeral", "--listen", "0", "--print-json", "--no-rate-limits"];
  flags.push("--test-clock", "--seed", seed, ...(options.flags ?? []));
  const server = new ServerProcess(executable, flags, process.env);
  try {
    const ready = await server.ready(executable, options.startTimeoutMs ?? startTimeoutMs);
    const stop = async () => {
      await server.stop();
      await remove();
    };
    return testServer(server, ready, stop);
  } catch (error) {
    await remove();
    throw error;
  }
}

function testServer(server: ServerProcess, ready: Ready, stop: () => Promise<void>): TestServer {
  const base = ready.url.slice(0, -"/graphql".length);
  return {
    ...ready,
    clock: clockAt(`${base}/test/clock`),
    get log() {
      return server.log;
    },
    request: (query, options = {}) => request(ready.url, query, options),
    reset: async () => {
      const response = await fetch(`${base}/test/reset`, { method: "POST" });
      if (!response.ok) throw new Error(`The reset failed: ${(await response.text()).trim()}`);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

interface Answer<T> {
  readonly data?: T | null;
  readonly errors?: readonly { readonly message: string }[];
}

async function request<T>(url: string, query: string, options: RequestOptions): Promise<T> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (options.token !== undefined) headers["authorization"] = `Bearer ${options.token}`;
  const body = JSON.stringify({ query, variables: options.variables });
  const response = await fetch(url, { method: "POST", headers, body });
  const answer = (await response.json()) as Answer<T>;
  if (answer.errors || !answer.data) {
    const messages = answer.errors?.map(({ message }) => message) ?? ["no data"];
    throw new Error(messages.join("; "), { cause: answer });
  }
  return answer.data;
}
