import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import type { ExecutionResult, SubscriptionForwarder } from "@urql/core";
import type { Client as SocketClient, SubscribePayload } from "graphql-ws";
import { authorization, type Connect, type TestClient } from "./client.ts";
import { resubscribing } from "./resubscribe.ts";
import { socketClient } from "./socket.ts";

/** urql with subscriptions over a WebSocket, and the rest over HTTP. */
export const connectUrql: Connect = (server, options) => {
  const socket = socketClient(server, options);
  const client = new Client({
    url: server.http,
    fetchOptions: { headers: authorization(options) },
    exchanges: [fetchExchange, subscriptionExchange({ forwardSubscription: forwardOver(socket) })],
  });
  return {
    run: running(client),
    subscribe(document, variables, sink) {
      const subscription = client
        .subscription<unknown>(document, variables)
        .subscribe(({ data, error }) => {
          if (error) sink.error(error);
          else sink.next(data);
        });
      return () => {
        subscription.unsubscribe();
      };
    },
    close: async () => {
      await socket.dispose();
    },
  };
};

/** urql with fetch only: it accepts server-sent events and multipart answers. */
export const connectUrqlHttp: Connect = (server, options) => {
  const client = new Client({
    url: server.http,
    fetchOptions: { headers: authorization(options) },
    fetchSubscriptions: true,
    exchanges: [fetchExchange],
  });
  const { subscribe, stopAll } = resubscribing(({ query, variables }, { next, broken }) => {
    const subscription = client
      .subscription<unknown>(query, { ...variables })
      .subscribe(({ data, error, extensions, hasNext }) => {
        if (error?.networkError) broken(error);
        else if (error) next({ errors: error.graphQLErrors });
        // The stream ended: the library repeats the last result with `hasNext` false.
        else if (!hasNext) broken(new Error("The stream ended."));
        else next({ data, extensions });
      });
    return () => {
      subscription.unsubscribe();
    };
  }, options?.beforeRetry);
  return {
    run: running(client),
    subscribe,
    close: () => {
      stopAll();
      return Promise.resolve();
    },
  };
};

function running(client: Client): TestClient["run"] {
  return async (document, variables = {}) => {
    const { data, error } = document.startsWith("mutation")
      ? await client.mutation<unknown>(document, variables)
      : await client.query<unknown>(document, variables);
    if (error) throw error;
    return data;
  };
}

function forwardOver(socket: SocketClient): SubscriptionForwarder {
  return (request) => ({
    subscribe: (sink) => ({
      unsubscribe: socket.subscribe(request as SubscribePayload, {
        // The types of the two libraries differ only in `| undefined`.
        next: (result) => {
          sink.next(result as ExecutionResult);
        },
        error: (error) => {
          sink.error(error);
        },
        complete: () => {
          sink.complete();
        },
      }),
    }),
  });
}
