import { SwitchboardError } from "./errors.ts";
import type { Http } from "./http.ts";
import type { Complete } from "./options.ts";
import { PollTransport } from "./poll.ts";
import { SocketTransport } from "./socket.ts";
import { EventStreamTransport } from "./sse.ts";
import type { TokenSource } from "./token.ts";
import type { Transport } from "./transport.ts";

/** The transports of a client. Without a WebSocket class, the others remain. */
export function transportsFor(
  options: Complete,
  http: Http,
  tokens: TokenSource,
): [Transport, ...Transport[]] {
  const { socketUrl: url, timeouts, webSocket } = options;
  const [first, ...others] = options.transports.flatMap((name): Transport[] => {
    if (name === "sse") return [new EventStreamTransport(http, timeouts)];
    if (name === "poll") return [new PollTransport(http, timeouts)];
    return webSocket ? [new SocketTransport({ url, webSocket, tokens, timeouts })] : [];
  });
  if (first) return [first, ...others];
  throw new SwitchboardError(
    "TRANSPORT_UNSUPPORTED",
    "No transport is left. Node 20 has no WebSocket: pass the class of the package ws as `webSocket`.",
  );
}
