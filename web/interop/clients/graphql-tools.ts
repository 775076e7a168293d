import { buildGraphQLWSExecutor } from "@graphql-tools/executor-graphql-ws";
import { buildHTTPExecutor } from "@graphql-tools/executor-http";
import { buildWSLegacyExecutor } from "@graphql-tools/executor-legacy-ws";
import { type DocumentNode, GraphQLError, parse } from "graphql";
import WebSocket from "ws";
import { authorization, type Connect, type ConnectOptions } from "./client.ts";
import type { Result, TestClient, Variables } from "./client.ts";
import { type Open, resubscribing } from "./resubscribe.ts";
import { plainSocketClient } from "./socket.ts";

// The executors of GraphQL Tools, with which gateways and schema loaders reach a server.

type Answer = Result | AsyncIterable<Result>;

type Execute = (request: {
  readonly document: DocumentNode;
  readonly variables: Variables;
}) => Answer | Promise<Answer>;

type LegacyWebSocket = Parameters<typeof buildWSLegacyExecutor>[1];

/** Queries and mutations by POST, subscriptions as server-sent events by GET. */
export const connectHttpExecutor: Connect = (server, options) =>
  executing(buildHTTPExecutor({ endpoint: server.http, headers: authorization(options) }), options);

/** All operations over one socket of a graphql-ws client, which reconnects by itself. */
export const connectGraphQLWsExecutor: Connect = (server, options) => {
  const socket = plainSocketClient(server, options);
  return executing(buildGraphQLWSExecutor(socket), options, () => socket.dispose());
};

/** The dialect of subscriptions-transport-ws, with a socket for each operation. */
export const connectLegacyWsExecutor: Connect = (server, options) =>
  executing(
    // The types of ws for `import` and for `require` differ; the executor's are for `require`.
    buildWSLegacyExecutor(server.webSocket, WebSocket as unknown as LegacyWebSocket, {
      connectionParams: authorization(options),
    }),
    options,
  );

function executing(
  execute: Execute,
  options: ConnectOptions | undefined,
  dispose: () => void | Promise<void> = () => undefined,
): TestClient {
  const { subscribe, stopAll } = resubscribing(opening(execute), options?.beforeRetry);
  return {
    async run(query, variables = {}) {
      const { data, errors } = await single(await execute({ document: parse(query), variables }));
      if (errors) throw new Error(JSON.stringify(errors));
      return data;
    },
    subscribe,
    close: async () => {
      stopAll();
      await dispose();
    },
  };
}

/** The result of a query or a mutation. Over the legacy dialect it comes as a stream too. */
async function single(answer: Answer): Promise<Result> {
  if (!isStream(answer)) return answer;
  for await (const result of answer) return result;
  throw new Error("The stream has no result.");
}

function opening(execute: Execute): Open {
  return ({ query, variables }, { next, broken }) => {
    let stopped = false;
    let iterator: AsyncIterator<Result> | undefined;

    async function pull(): Promise<void> {
      const answer = await execute({ document: parse(query), variables });
      const stream = isStream(answer) ? answer : [answer];
      // The executors return iterators, whose iterator is the same object.
      if (isStream(answer)) iterator = answer[Symbol.asyncIterator]();
      if (stopped) return void iterator?.return?.();
      for await (const result of stream) {
        const failure = failureIn(result);
        if (failure !== undefined) throw failure;
        next(result);
        if (result.errors) return;
      }
      throw new Error("The stream ended.");
    }

    pull().catch((error: unknown) => {
      // graphql-ws throws the errors of a refused operation as an array.
      if (Array.isArray(error)) next({ errors: error });
      else broken(error);
    });
    return () => {
      stopped = true;
      void iterator?.return?.();
    };
  };
}

/** The executors report a broken connection as a result whose error has a cause. */
function failureIn({ errors }: Result): Error | undefined {
  return ((errors ?? []) as readonly unknown[]).find((error): error is Error =>
    error instanceof GraphQLError ? error.originalError !== undefined : error instanceof Error,
  );
}

function isStream(answer: Answer): answer is AsyncIterable<Result> {
  return Symbol.asyncIterator in answer;
}
