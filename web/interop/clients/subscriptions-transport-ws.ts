import { SubscriptionClient } from "subscriptions-transport-ws";
import WebSocket from "ws";
import { authorization, type Connect, single } from "./client.ts";
import { resubscribing } from "./resubscribe.ts";

/** The library that graphql-ws replaced, with the protocol of its time. */
export const connectSubscriptionsTransportWs: Connect = (server, options) => {
  let connectionsCount = 0;
  const client = new SubscriptionClient(
    server.webSocket,
    {
      reconnect: true,
      lazy: true,
      connectionParams: async () => {
        if (connectionsCount++ > 0) await options?.beforeRetry?.();
        return authorization(options);
      },
    },
    WebSocket,
  );
  // It comes back with the same variables object; an error is the server's refusal.
  const { subscribe, stopAll } = resubscribing((request, { next }) => {
    const subscription = client.request(request).subscribe({
      next,
      error: (error) => {
        next({ errors: [error] });
      },
    });
    return () => {
      subscription.unsubscribe();
    };
  });
  return {
    run: (query, variables = {}) =>
      single((sink) => client.request({ query, variables }).subscribe(sink)),
    subscribe,
    close: () => {
      stopAll();
      client.close();
      return Promise.resolve();
    },
  };
};
