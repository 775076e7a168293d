import { createClient } from "graphql-sse";
import type { Endpoint } from "../../harness/endpoint.ts";
import { authorization, type Connect, type ConnectOptions, single } from "./client.ts";
import type { TestClient } from "./client.ts";
import { resubscribing } from "./resubscribe.ts";

const retryAttempts = 5;

/** graphql-sse with a stream for each operation. */
export const connectGraphQLSse: Connect = (server, options) => connect(server, options, false);

/** graphql-sse with one stream for all operations. */
export const connectGraphQLSseSingle: Connect = (server, options) => connect(server, options, true);

function connect(
  server: Endpoint,
  options: ConnectOptions | undefined,
  singleConnection: boolean,
): TestClient {
  const beforeRetry = options?.beforeRetry ?? (() => Promise.resolve());
  const client = createClient({
    url: server.http,
    singleConnection,
    // A function, because the library adds its reservation to the object and would resend it.
    headers: () => authorization(options),
    retryAttempts,
    retry: beforeRetry,
  });
  // The library reconnects with the same variables object. If the connection breaks while it still
  // handles results, it ends with an error instead.
  const { subscribe, stopAll } = resubscribing(
    (request, { next, broken }) =>
      client.subscribe(request, { next, error: broken, complete: () => undefined }),
    beforeRetry,
  );
  return {
    run: (query, variables = {}) => single((sink) => client.subscribe({ query, variables }, sink)),
    subscribe,
    close: () => {
      stopAll();
      client.dispose();
      return Promise.resolve();
    },
  };
}
