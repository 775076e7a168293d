import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import type { ExecutionResult, SubscriptionForwarder } from "@urql/core";
import type { Client as SocketClient, SubscribePayload } from "graphql-ws";
import { authorization, type Connect } from "./client.ts";
import { socketClient } from "./socket.ts";

export const connectUrql: Connect = (server, options) => {
  const socket = socketClient(server, options);
  const client = new Client({
    url: server.http,
    fetchOptions: { headers: authorization(options) },
    exchanges: [fetchExchange, subscriptionExchange({ forwardSubscription: forwardOver(socket) })],
  });
  return {
    async run(document, variables = {}) {
      const { data, error } = document.startsWith("mutation")
        ? await client.mutation<unknown>(document, variables)
        : await client.query<unknown>(document, variables);
      if (error) throw error;
      return data;
    },
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

function forwardOver(socket: SocketClient): SubscriptionForwarder {
  return (request) => ({
    subscribe: (sink) => ({
      unsubscribe: socket.subscribe(request as SubscribePayload, {
        // The two libraries' types differ only in where they write `| undefined`.
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
