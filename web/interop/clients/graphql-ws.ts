import { type Connect, deliver, single } from "./client.ts";
import { socketClient } from "./socket.ts";

/** Everything over one socket: queries and mutations too. */
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
