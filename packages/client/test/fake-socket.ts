import type { WebSocketLike } from "../src/socket.ts";

interface Sent {
  readonly type: string;
  readonly id?: string;
  readonly payload?: unknown;
}

/** A WebSocket for unit tests. The test plays the server. */
export class FakeSocket implements WebSocketLike {
  /** All sockets of a test, in the order in which they were opened. */
  static opened: FakeSocket[] = [];

  static get last(): FakeSocket {
    const socket = FakeSocket.opened.at(-1);
    if (!socket) throw new Error("No socket was opened.");
    return socket;
  }

  onopen: WebSocketLike["onopen"] = null;
  onmessage: WebSocketLike["onmessage"] = null;
  onclose: WebSocketLike["onclose"] = null;
  onerror: WebSocketLike["onerror"] = null;
  readonly sent: Sent[] = [];
  isClosed = false;

  constructor() {
    FakeSocket.opened.push(this);
  }

  send(data: string): void {
    this.sent.push(JSON.parse(data) as Sent);
  }

  close(): void {
    this.isClosed = true;
  }

  /** Opens the socket and acknowledges the connection. */
  acknowledge(): void {
    this.onopen?.({} as never);
    this.receive({ type: "connection_ack" });
  }

  receive(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) } as never);
  }

  closeBy(code: number, reason = ""): void {
    this.onclose?.({ code, reason } as never);
  }
}
