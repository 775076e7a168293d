import { type Connect, deliver, single } from "./client.ts";
import { socketClient } from "./socket.ts";

/** graphql-ws with all operations over one socket, queries and mutations included. */
export const connectGraphQLWs: Connect = (server, options) => {
  const socket = socketClient(server, options);
  return {
    run: (query, variables = {}) => single((sink) => socket.subscribe({ query, variables }, sink)),
    subscribe(query, variables, sink) {
      return socket.subscribe(
        { query, variables },
        {
          next: (result) => {
            deliver(result, sink);
          },
          error: (error) => {
            sink.error(error);
          },
          complete: () => {
            // The tests end subscriptions themselves and check the results.
          },
        },
      );
    },
    close: async () => {
      await socket.dispose();
    },
  };
};
