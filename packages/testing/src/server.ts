import { clockAt, type TestClock } from "./clock.ts";
import { Launcher } from "./launch.ts";
import { request, type RequestOptions } from "./request.ts";
import type { Seed } from "./seed.ts";

export interface StartOptions {
  /** The data to begin with. */
  readonly seed?: Seed;
  /** Further flags of `switchboard serve`. */
  readonly flags?: readonly string[];
  /** The path of the executable; else `SWITCHBOARD_BIN`, else `switchboard` in the PATH. */
  readonly executable?: string;
  /** Whether tests can set the server's clock; true unless it is given. */
  readonly testClock?: boolean;
  /**
   * Whether the database is a file that stays until `stop()`; false unless it is given. A server
   * with a file has `restart()`, and no `reset()`.
   */
  readonly persistent?: boolean;
  /**
   * Further environment variables of the server. It gets those of this process, without
   * `DATABASE_URL` and all `SWITCHBOARD_…`.
   */
  readonly env?: Readonly<Record<string, string>>;
  /** How long the server may take to start; 10 seconds unless it is given. */
  readonly startTimeoutMs?: number;
}

/** A server on a free port of this machine, with a database that ends with it. */
export interface TestServer extends AsyncDisposable {
  /** The endpoint, for queries, mutations and event streams. */
  readonly url: string;
  /** The endpoint for WebSockets. */
  readonly webSocketUrl: string;
  readonly address: string;
  /** The process id. It changes with `restart()`. */
  readonly pid: number;
  readonly version: string;
  readonly clock: TestClock;
  /** What the server has logged. */
  readonly log: string;
  /** The token that the seed gives to a user. Throws if it gives none. */
  token(user: string): string;
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
  /** Ends the server's process as a crash does, with SIGKILL. */
  kill(): Promise<void>;
  /**
   * Starts the server again, on the same port and with the same data. A server that still runs is
   * stopped first. The clock shows the time of the system. Rejects without `persistent`.
   */
  restart(): Promise<void>;
  /** Stops the server and removes its database. */
  stop(): Promise<void>;
}

/** Starts a server. It ends with `stop()`, or with this process. */
export async function startSwitchboard(options: StartOptions = {}): Promise<TestServer> {
  const launcher = await Launcher.start(options);
  const { url, webSocketUrl, address, version } = launcher.ready;
  const base = url.slice(0, -"/graphql".length);
  const stop = async () => {
    await launcher.end("SIGTERM");
    await launcher.remove();
  };
  return {
    ...{ url, webSocketUrl, address, version },
    clock: clockAt(`${base}/test/clock`),
    get pid() {
      return launcher.ready.pid;
    },
    get log() {
      return launcher.log;
    },
    token: (user) => tokenOf(options.seed, user),
    request: (query, given) => request(url, query, given),
    reset: () => reset(base, options),
    kill: () => launcher.end("SIGKILL"),
    restart: async () => {
      if (!options.persistent) throw new Error("Only a server with persistent: true can restart.");
      await launcher.end("SIGTERM");
      await launcher.launch();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function tokenOf(seed: Seed | undefined, user: string): string {
  const found = seed?.users?.find(({ name, id }) => name === user || id === user);
  if (found?.token === undefined) throw new Error(`The seed has no token for the user ${user}.`);
  return found.token;
}

async function reset(base: string, { persistent }: StartOptions): Promise<void> {
  if (persistent) throw new Error("A server with persistent: true has no reset.");
  const response = await fetch(`${base}/test/reset`, { method: "POST" });
  if (!response.ok) throw new Error(`The reset failed: ${(await response.text()).trim()}`);
}
