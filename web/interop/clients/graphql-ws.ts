import type { FormattedExecutionResult } from "graphql";
import type { Connect } from "./client.ts";
import { socketClient } from "./socket.ts";

/** Everything over one socket: queries and mutations too. */
export const connectGraphQLWs: Connect = (server, options) => {
  const socket = socketClient(server, options);
  return {
    run(query, variables = {}) {
      return new Promise((resolve, reject) => {
        let answer: unknown;
        socket.subscribe(
          { query, variables },
          {
            next: (result) => {
              if (result.errors) reject(new Error(JSON.stringify(result.errors)));
              answer = result.data;
            },
            error: reject,
            complete: () => {
              resolve(answer);
            },
          },
        );
      });
    },
    subscribe(query, variables, sink) {
      return socket.subscribe(
        { query, variables },
        {
          next: (result: FormattedExecutionResult) => {
            if (result.errors) sink.error(result.errors);
            else sink.next(result.data);
          },
          error: (error) => {
            sink.error(error);
          },
          complete: () => {
            // The tests end subscriptions themselves; what they see decides.
          },
        },
      );
    },
    close: async () => {
      await socket.dispose();
    },
  };
};
