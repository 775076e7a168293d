import type { Result, Sink, Switchboard } from "@switchboard/client";
import { Recorder } from "../../../web/interop/recorder.ts";
import { type Message, newMessages, roomId } from "./chat.ts";

export interface NewMessage {
  readonly newMessage: Message;
}

/** Records the texts of a subscription, and its errors. */
export class Received implements Sink<NewMessage> {
  readonly recorder = new Recorder<string>();
  completed = false;

  readonly next = (result: Result<NewMessage>): void => {
    if (result.data) this.recorder.next(result.data.newMessage.text);
    else this.recorder.error(result.errors);
  };

  readonly error = (error: Error): void => {
    this.recorder.error(error);
  };

  readonly complete = (): void => {
    this.completed = true;
  };

  get texts(): readonly string[] {
    return this.recorder.seen;
  }

  /** Resolves when a message with this text has arrived. */
  async saw(text: string): Promise<void> {
    await this.recorder.until((seen) => seen.includes(text));
  }
}

/** Subscribes to the room after a cursor, or at its end. */
export function listen(client: Switchboard, after?: string): Received & { stop: () => void } {
  const received = new Received();
  const stop = client.subscribe<NewMessage>(newMessages, { roomId, after }, received);
  return Object.assign(received, { stop });
}
