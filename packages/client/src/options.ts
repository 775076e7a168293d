import { type Backoff, defaultBackoff } from "./backoff.ts";
import { browser, type Environment } from "./environment.ts";
import type { WebSocketConstructor } from "./socket.ts";
import type { ConnectionState } from "./state.ts";
import type { OnGap } from "./stream.ts";
import type { Token } from "./token.ts";
import { defaultTimeouts, type Timeouts, type TransportName } from "./transport.ts";

export interface SwitchboardOptions {
  /** The endpoint, for example `https://chat.example/graphql`. In a page it may be relative. */
  readonly url: string;
  /** The token, or a function that returns it. Without one the caller is anonymous. */
  readonly token?: Token;
  /** The transports to use, in the order in which they are tried. */
  readonly transports?: readonly TransportName[];
  /** Decides what to do about an expired cursor. The default is `stop`. */
  readonly onGap?: OnGap;
  /** Called with each new state of the connection. */
  readonly onState?: (state: ConnectionState) => void;
  readonly backoff?: Partial<Backoff>;
  readonly timeouts?: Partial<Timeouts>;
  /** The time after which a client that uses another transport tries WebSocket again. */
  readonly retryWebSocketMs?: number;
  /** Default: the global `WebSocket`. Node 20 has none: pass the class of the package `ws`. */
  readonly webSocket?: WebSocketConstructor;
  /** Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** For tests: replaces the browser's events. */
  readonly environment?: Environment;
  /** For tests: replaces `Math.random`. */
  readonly random?: () => number;
}

export type Complete = ReturnType<typeof complete>;

const allTransports: readonly TransportName[] = ["websocket", "sse", "poll"];
const retryWebSocketMs = 300_000;

/** The options with their defaults. */
export function complete(options: SwitchboardOptions) {
  const url = new URL(options.url, (globalThis as { location?: { href: string } }).location?.href);
  url.protocol = url.protocol.replace("ws", "http");
  const socketUrl = new URL(url);
  socketUrl.protocol = url.protocol.replace("http", "ws");
  return {
    url: url.href,
    socketUrl: socketUrl.href,
    transports: options.transports ?? allTransports,
    backoff: { ...defaultBackoff, ...options.backoff },
    timeouts: { ...defaultTimeouts, ...options.timeouts },
    retryWebSocketMs: options.retryWebSocketMs ?? retryWebSocketMs,
    webSocket: options.webSocket ?? globalWebSocket(),
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    environment: options.environment ?? browser,
    random: options.random ?? Math.random,
  };
}

function globalWebSocket(): WebSocketConstructor | undefined {
  return (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
}
