/** One server-sent event. */
export interface ServerEvent {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: string;
}

/** Splits the text of an event stream, which arrives in chunks, into events. */
export class EventParser {
  #rest = "";
  #id: string | undefined;
  #event = "message";
  #data: string[] = [];

  /** The events that this chunk completes. */
  push(chunk: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const lines = (this.#rest + chunk).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") this.#field(line);
      else events.push(...this.#dispatch());
    }
    return events;
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "id") this.#id = value;
    if (name === "event") this.#event = value;
    if (name === "data") this.#data.push(value);
  }

  #dispatch(): ServerEvent[] {
    const event = { id: this.#id, event: this.#event, data: this.#data.join("\n") };
    const isEmpty = this.#data.length === 0;
    this.#id = undefined;
    this.#event = "message";
    this.#data = [];
    return isEmpty ? [] : [event];
  }
}
