import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type Endpoint, endpointAt } from "./endpoint.ts";

/**
 * A proxy that breaks all connections once. It passes bytes on until the server sends `mark` on
 * any connection. It still passes on the bytes before the mark, which leaves half a message, and
 * then resets all connections. After that it passes on everything.
 */
export class CuttingProxy implements Endpoint {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #mark: Buffer | undefined;
  #cutsCount = 0;

  private constructor(targetPort: number, mark: string) {
    this.#mark = Buffer.from(mark);
    this.#server = createServer((client) => {
      this.#carry(new Link(client, connect(targetPort, "127.0.0.1")));
    });
  }

  /** Listens on a free port and forwards to `targetPort` on loopback. */
  static async start(targetPort: number, mark: string): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(targetPort, mark);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  /** The number of connections that the proxy has reset; 0 before it breaks. */
  get cutsCount(): number {
    return this.#cutsCount;
  }

  get http(): string {
    return this.#endpoint.http;
  }

  get webSocket(): string {
    return this.#endpoint.webSocket;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const link of this.#links) link.reset();
    await closed;
  }

  get #endpoint(): Endpoint {
    return endpointAt(`127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
  }

  #carry(link: Link): void {
    this.#links.add(link);
    link.client.once("close", () => this.#links.delete(link));
    link.upstream.on("data", (chunk: Buffer) => {
      const allowed = this.#mark ? link.bytesBefore(this.#mark, chunk) : undefined;
      if (allowed === undefined) {
        link.client.write(chunk);
        return;
      }
      // Nothing may follow the half message before the connection is reset.
      link.upstream.pause();
      link.client.write(chunk.subarray(0, allowed), () => {
        this.#cut();
      });
    });
  }

  #cut(): void {
    if (!this.#mark) return;
    this.#mark = undefined;
    this.#cutsCount = this.#links.size;
    for (const link of this.#links) link.reset();
  }
}

/** A client's connection, and the connection to the server that belongs to it. */
class Link {
  readonly client: Socket;
  readonly upstream: Socket;
  /** The last bytes of the server, because a mark may be split between two chunks. */
  #tail = Buffer.alloc(0);

  constructor(client: Socket, upstream: Socket) {
    this.client = client;
    this.upstream = upstream;
    // Without Nagle's delay, as between a client and a server without a proxy.
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    client.pipe(upstream);
    upstream.once("end", () => client.end());
    // If one side breaks, the other one is reset too. The test notices by what arrives.
    for (const socket of [client, upstream]) {
      socket.on("error", () => undefined);
      socket.once("close", () => {
        this.reset();
      });
    }
  }

  /** The number of bytes of `chunk` before `mark`; undefined if the mark does not end in it. */
  bytesBefore(mark: Buffer, chunk: Buffer): number | undefined {
    const seen = Buffer.concat([this.#tail, chunk]);
    const at = seen.indexOf(mark);
    const before = Math.max(0, at - this.#tail.length);
    this.#tail = seen.subarray(Math.max(0, seen.length - mark.length + 1));
    return at < 0 ? undefined : before;
  }

  reset(): void {
    this.client.resetAndDestroy();
    this.upstream.resetAndDestroy();
  }
}
