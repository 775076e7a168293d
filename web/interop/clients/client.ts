import type { Switchboard } from "../../harness/switchboard.ts";

export type Variables = Record<string, unknown>;

export interface Sink {
  next(data: unknown): void;
  error(error: unknown): void;
}

/** What the tests need of a client library, so that one scenario runs on each of them. */
export interface TestClient {
  /** Runs a query or a mutation and answers its `data`; any error rejects. */
  run(document: string, variables?: Variables): Promise<unknown>;
  /** Starts a subscription; each event's `data` goes to the sink. Returns how to stop it. */
  subscribe(document: string, variables: Variables, sink: Sink): () => void;
  close(): Promise<void>;
}

export interface ConnectOptions {
  readonly token?: string;
  /** Runs before each attempt to reconnect, so that a test decides when that happens. */
  readonly beforeRetry?: () => Promise<void>;
}

export type Connect = (server: Switchboard, options?: ConnectOptions) => TestClient;

/** The two ways in which a token reaches the server carry the same field. */
export function authorization(options?: ConnectOptions): Record<string, string> {
  return options?.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
}
