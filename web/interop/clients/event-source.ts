import { EventSource } from "eventsource";
import { type Connect, deliver, post, type Result } from "./client.ts";

/**
 * `EventSource` without any library, as in a page: the URL holds the operation. It reconnects by
 * itself and sends the id of the last event that it has seen; the server resumes after that event.
 */
export const connectEventSource: Connect = (server, options) => {
  const open = new Set<EventSource>();
  return {
    async run(query, variables = {}) {
      const { data, errors } = await post(server, options, { query, variables });
      if (errors) throw new Error(JSON.stringify(errors));
      return data;
    },
    subscribe(query, variables, sink) {
      const address = new URL(server.http);
      address.searchParams.set("query", query);
      address.searchParams.set("variables", JSON.stringify(variables));
      let attemptsCount = 0;
      const source = new EventSource(address, {
        fetch: async (url, init) => {
          if (attemptsCount++ > 0) await options?.beforeRetry?.();
          return fetch(url, init);
        },
      });
      open.add(source);
      source.addEventListener("next", ({ data }: MessageEvent<string>) => {
        deliver(JSON.parse(data) as Result, sink);
      });
      source.addEventListener("complete", () => {
        source.close();
      });
      source.addEventListener("error", (error) => {
        // In any other state it is reconnecting.
        if (source.readyState === EventSource.CLOSED) sink.error(error);
      });
      return () => {
        source.close();
        open.delete(source);
      };
    },
    close: () => {
      for (const source of open) source.close();
      return Promise.resolve();
    },
  };
};
