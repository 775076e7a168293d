import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { type Endpoint, endpointAt } from "./endpoint.ts";

/** The answer to an upgrade: a status, no answer at all, or the server's own. */
export type Upgrades = 400 | 426 | 502 | "hang" | "pass";

/** `after the first bytes` passes on the beginning of an event stream and keeps the rest. */
export type Streams = "buffer" | "buffer after the first bytes" | "pass";

/** An HTTP proxy that does not let WebSockets or event streams through. It can change its mind. */
export class BlockingProxy implements Endpoint {
  readonly http: string;
  readonly webSocket: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  upgrades: Upgrades = "pass";
  streams: Streams = "pass";
  /** How many upgrades the proxy has not passed on. */
  upgradesBlocked = 0;

  private constructor(server: Server) {
    this.#server = server;
    const { port } = server.address() as AddressInfo;
    const { http, webSocket } = endpointAt(`127.0.0.1:${port}`);
    this.http = http;
    this.webSocket = webSocket;
  }

  static async start(targetPort: number): Promise<BlockingProxy> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const proxy = new BlockingProxy(server);
    server.on("connection", (socket) => {
      proxy.#keep(socket);
    });
    server.on("upgrade", (message, socket: Socket) => {
      proxy.#upgrade(message, socket, targetPort);
    });
    server.on("request", (message, response) => {
      const { method, url: path, headers } = message;
      const outgoing = request({ host: "127.0.0.1", port: targetPort, method, path, headers });
      message.pipe(outgoing);
      outgoing.on("error", () => response.destroy());
      response.on("close", () => outgoing.destroy());
      outgoing.on("response", (incoming) => {
        incoming.on("error", () => response.destroy());
        const isStream = incoming.headers["content-type"]?.startsWith("text/event-stream") === true;
        if (isStream && proxy.streams === "buffer") return;
        response.writeHead(incoming.statusCode ?? 502, incoming.headers);
        if (!isStream || proxy.streams === "pass") incoming.pipe(response);
        else incoming.once("data", (chunk: Buffer) => response.write(chunk));
      });
    });
    return proxy;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => this.#sockets.delete(socket));
  }

  #upgrade(message: IncomingMessage, client: Socket, targetPort: number): void {
    if (this.upgrades !== "pass") {
      this.upgradesBlocked += 1;
      if (this.upgrades === "hang") return;
      client.end(
        `HTTP/1.1 ${this.upgrades} Blocked\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
      );
      return;
    }
    const upstream = connect(targetPort, "127.0.0.1");
    this.#keep(upstream);
    const headers = message.rawHeaders.map((part, at) =>
      at % 2 === 0 ? `${part}: ` : `${part}\r\n`,
    );
    upstream.write(
      `${message.method ?? "GET"} ${message.url ?? "/"} HTTP/1.1\r\n${headers.join("")}\r\n`,
    );
    client.pipe(upstream).pipe(client);
    client.once("close", () => upstream.destroy());
    upstream.once("close", () => client.destroy());
  }
}
