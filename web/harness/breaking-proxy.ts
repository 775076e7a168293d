import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type Endpoint, endpointAt } from "./endpoint.ts";

export interface Breaks {
  /** Returns a number from 0 to 1 for each connection. */
  readonly random: () => number;
  /** Each connection breaks after at most this many bytes of the server. */
  readonly bytesMax: number;
  /** After this many breaks, the proxy passes on everything. */
  readonly breaksMax: number;
}

/**
 * A proxy that resets each connection after a random number of bytes of the server, wherever that
 * is: in the headers, in a frame, or in a message.
 */
export class BreakingProxy implements Endpoint {
  readonly http: string;
  readonly webSocket: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #breaksCount = 0;

  private constructor(server: Server) {
    this.#server = server;
    const { port } = server.address() as AddressInfo;
    const { http, webSocket } = endpointAt(`127.0.0.1:${port}`);
    this.http = http;
    this.webSocket = webSocket;
  }

  static async start(targetPort: number, breaks: Breaks): Promise<BreakingProxy> {
    const server = createServer((client) => {
      proxy.#carry(client, connect(targetPort, "127.0.0.1"), breaks);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const proxy = new BreakingProxy(server);
    return proxy;
  }

  /** The number of connections that the proxy has reset. */
  get breaksCount(): number {
    return this.#breaksCount;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  #carry(client: Socket, upstream: Socket, { random, bytesMax, breaksMax }: Breaks): void {
    const reset = () => {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    };
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.once("close", () => {
        this.#sockets.delete(socket);
        reset();
      });
    }
    client.pipe(upstream);
    let left = Math.ceil(random() * bytesMax);
    upstream.on("data", (chunk: Buffer) => {
      left -= chunk.length;
      if (left >= 0 || this.#breaksCount >= breaksMax) {
        client.write(chunk);
        return;
      }
      this.#breaksCount += 1;
      upstream.pause();
      client.write(chunk.subarray(0, chunk.length + left), reset);
    });
  }
}
