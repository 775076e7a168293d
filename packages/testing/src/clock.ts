/**
 * The clock of the server. It decides about the times of messages, tokens, mutes and slow mode. It
 * does not decide about rate limits, heartbeats, typing and presence.
 */
export interface TestClock {
  /** The time that the clock shows. */
  now(): Promise<Date>;
  /** Sets the clock. It goes on from there, unless it is frozen. */
  set(time: Date): Promise<void>;
  /** Sets the clock forward. */
  advance(milliseconds: number): Promise<void>;
  /** Stops the clock. */
  freeze(): Promise<void>;
  /** Lets the clock go on from the time that it shows. */
  unfreeze(): Promise<void>;
}

/** The clock that the server has at this URL. */
export function clockAt(url: string): TestClock {
  const change = async (body?: object): Promise<Date> => {
    const post = body && { method: "POST", body: JSON.stringify(body) };
    const response = await fetch(url, post);
    const text = await response.text();
    if (!response.ok) throw new Error(`The clock was not changed: ${text.trim()}`);
    return new Date((JSON.parse(text) as { now: string }).now);
  };
  return {
    now: () => change(),
    set: async (time) => {
      await change({ now: time.toISOString() });
    },
    advance: async (milliseconds) => {
      await change({ advanceSeconds: milliseconds / 1000 });
    },
    freeze: async () => {
      await change({ frozen: true });
    },
    unfreeze: async () => {
      await change({ frozen: false });
    },
  };
}
