import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type Endpoint, endpointAt } from "./endpoint.ts";

/**
 * A network that breaks once: bytes pass until the server sends `mark`, on whichever connection
 * does so first. What stands before the mark is passed on still, which leaves a message half
 * sent, and all connections are reset. From then on everything passes.
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

  /** Listens on a port of its own and passes everything to `targetPort` of this machine. */
  static async start(targetPort: number, mark: string): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(targetPort, mark);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  /** How many connections were open when the network broke; 0 as long as it has not. */
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
      // Nothing may follow the half message until the connection is gone.
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

/** One client's connection and the one that was opened to the server for it. */
class Link {
  readonly client: Socket;
  readonly upstream: Socket;
  /** The end of what the server sent last: a mark may begin in one chunk and end in the next. */
  #tail = Buffer.alloc(0);

  constructor(client: Socket, upstream: Socket) {
    this.client = client;
    this.upstream = upstream;
    // Without Nagle's wait, as a client and a server would speak without a proxy.
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    client.pipe(upstream);
    upstream.once("end", () => client.end());
    // A side that breaks takes the other one with it; the test sees it by what arrives.
    for (const socket of [client, upstream]) {
      socket.on("error", () => undefined);
      socket.once("close", () => {
        this.reset();
      });
    }
  }

  /** How many bytes of `chunk` come before `mark`; nothing if the mark is not in it. */
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
