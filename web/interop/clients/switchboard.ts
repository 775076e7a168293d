import { createSwitchboard, type TransportName } from "@switchboard/client";
import WebSocket from "ws";
import { type Connect, deliver } from "./client.ts";

/**
 * The client package with one of its transports. It decides itself when it reconnects. Long polling
 * is tested in the package: it has no stream that could stay open or be cut at a mark.
 */
function connectOver(transport: TransportName): Connect {
  return (server, options) => {
    const client = createSwitchboard({
      url: server.http,
      token: options?.token ?? null,
      transports: [transport],
      webSocket: WebSocket,
      backoff: { firstMs: 50, maxMs: 500 },
    });
    return {
      run: (document, variables) => client.run(document, variables),
      subscribe: (document, variables, sink) =>
        client.subscribe(document, variables, {
          next: (result) => {
            deliver(result, sink);
          },
          error: (error) => {
            sink.error(error);
          },
        }),
      close: () => {
        client.close();
        return Promise.resolve();
      },
    };
  };
}

export const connectSwitchboard = connectOver("websocket");
export const connectSwitchboardSse = connectOver("sse");
