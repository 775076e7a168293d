import type { Endpoint } from "../../harness/endpoint.ts";

export type Variables = Record<string, unknown>;

/** A result of an operation, as loosely as all libraries type it. */
export interface Result {
  readonly data?: unknown;
  readonly errors?: unknown;
  readonly extensions?: unknown;
}

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

export type Connect = (server: Endpoint, options?: ConnectOptions) => TestClient;

/** The two ways in which a token reaches the server carry the same field. */
export function authorization(options?: ConnectOptions): Record<string, string> {
  return options?.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
}

/** Passes one result of a subscription on. */
export function deliver(result: Result, sink: Sink): void {
  if (result.errors) sink.error(result.errors);
  else sink.next(result.data);
}

/** The position of a result in its room, which Switchboard adds whatever was selected. */
export function cursorOf(result: Result): string | undefined {
  const { cursor } = (result.extensions ?? {}) as { readonly cursor?: string };
  return cursor;
}

/** The answer to an operation that has one result, of a library that only knows streams. */
export function single(
  start: (sink: {
    next(result: Result): void;
    error(error: unknown): void;
    complete(): void;
  }) => unknown,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let answer: unknown;
    start({
      next(result) {
        if (result.errors) reject(new Error(JSON.stringify(result.errors)));
        answer = result.data;
      },
      error: reject,
      complete() {
        resolve(answer);
      },
    });
  });
}

/** A query or a mutation by the platform's own means, for libraries that only subscribe. */
export async function post(
  server: Endpoint,
  options: ConnectOptions | undefined,
  request: { readonly query: string | null | undefined; readonly variables: Variables },
): Promise<Result> {
  const response = await fetch(server.http, {
    method: "POST",
    headers: { "content-type": "application/json", ...authorization(options) },
    body: JSON.stringify(request),
  });
  return (await response.json()) as Result;
}
