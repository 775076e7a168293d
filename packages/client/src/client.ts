import { Kind } from "graphql";
import { Connection } from "./connection.ts";
import { parsed, type Subscription, subscriptionOf } from "./document.ts";
import { answerError, SwitchboardError } from "./errors.ts";
import { Fallback } from "./fallback.ts";
import { Http } from "./http.ts";
import { iterated } from "./iterate.ts";
import { complete, type SwitchboardOptions } from "./options.ts";
import { Runner, type RunOptions } from "./run.ts";
import type { ConnectionState, Observed } from "./state.ts";
import { type OnGap, Stream } from "./stream.ts";
import { TokenSource } from "./token.ts";
import { transportsFor } from "./transports.ts";
import type { Document, Result, Sink, Variables } from "./types.ts";

export interface SubscribeOptions {
  /** Which operation of the document to run, if there are several. */
  readonly operationName?: string;
  /** Replaces the client's `onGap` for this subscription. */
  readonly onGap?: OnGap;
}

export type CallOptions = Omit<RunOptions, "variables">;

/** A client of one server. */
export interface Switchboard {
  /** The state of the connection; fits `useSyncExternalStore`. */
  readonly state: Observed<ConnectionState>;
  /** Runs a query or a mutation and returns its data. Rejects if there is any error. */
  run<Data = unknown, V extends object = Variables>(
    document: Document<Data, V>,
    variables?: V,
    options?: CallOptions,
  ): Promise<Data>;
  /** Runs a query or a mutation and returns its result, errors included. */
  execute<Data = unknown, V extends object = Variables>(
    document: Document<Data, V>,
    variables?: V,
    options?: CallOptions,
  ): Promise<Result<Data>>;
  /**
   * Starts a subscription that resumes after every break. Returns a function that stops it. Throws
   * if the document cannot be parsed.
   */
  subscribe<Data = unknown, V extends object = Variables>(
    document: Document<Data, V>,
    variables: V | undefined,
    sink: Sink<Data>,
    options?: SubscribeOptions,
  ): () => void;
  /**
   * Starts a subscription and iterates over its results. If the loop is slow, the client stops
   * receiving and later continues at the position of the loop.
   */
  iterate<Data = unknown, V extends object = Variables>(
    document: Document<Data, V>,
    variables?: V,
    options?: SubscribeOptions,
  ): AsyncIterableIterator<Result<Data>>;
  /** Completes all subscriptions and closes the connection for good. */
  close(): void;
}

/** Creates a client. It connects with the first subscription. */
export function createSwitchboard(given: SwitchboardOptions): Switchboard {
  const options = complete(given);
  const { backoff, environment, random, timeouts } = options;
  const tokens = new TokenSource(given.token);
  const http = new Http({ url: options.url, fetch: options.fetch, tokens });
  const fallback = new Fallback({
    transports: transportsFor(options, http, tokens),
    http,
    openMs: timeouts.openMs,
    retryFirstMs: options.retryWebSocketMs,
  });
  const connection = new Connection({ fallback, tokens, backoff, environment, random });
  const runner = new Runner({ http, tokens, backoff, random, onRenewed: connection.reconnect });
  const { onState } = given;
  if (onState) {
    connection.state.subscribe(() => {
      onState(connection.state.getSnapshot());
    });
  }

  function execute(document: Document, variables?: object, call: CallOptions = {}) {
    return runner.run(parsed(document), { ...call, variables: variables as Variables | undefined });
  }

  function opened(
    document: Document,
    variables: object | undefined,
    sink: Sink,
    { operationName, onGap = given.onGap }: SubscribeOptions = {},
  ): Stream {
    const stream = new Stream(connection, {
      subscription: subscriptionIn(document, operationName),
      variables: variables as Variables | undefined,
      sink,
      onGap,
    });
    connection.add(stream);
    return stream;
  }

  const client = {
    state: connection.state,
    execute,
    async run(document: Document, variables?: object, call?: CallOptions) {
      const { data, errors } = await execute(document, variables, call);
      if (errors && errors.length > 0) throw answerError(errors, data);
      return data;
    },
    subscribe(document: Document, variables: object, sink: Sink, call?: SubscribeOptions) {
      const stream = opened(document, variables, sink, call);
      return () => {
        stream.stop();
      };
    },
    iterate: (document: Document, variables?: object, call?: SubscribeOptions) =>
      iterated((sink) => opened(document, variables, sink, call), connection),
    close: () => {
      connection.close();
    },
  };
  // The documents carry the types of the results, which no code can check.
  return client as Switchboard;
}

function subscriptionIn(document: Document, operationName: string | undefined): Subscription {
  const node = parsed(document);
  const subscription = subscriptionOf(node, operationName);
  if (subscription) return subscription;
  const names = node.definitions.flatMap((definition) =>
    definition.kind === Kind.OPERATION_DEFINITION ? [definition.name?.value ?? "(unnamed)"] : [],
  );
  throw new SwitchboardError(
    "BAD_USER_INPUT",
    `The document has no subscription to run. Its operations: ${names.join(", ")}. ` +
      "If there are several, pass `operationName`.",
  );
}
