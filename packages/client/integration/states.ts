import type { ConnectionState, Switchboard } from "@switchboard/client";
import { Recorder } from "../../../web/interop/recorder.ts";

/** Records the states of a client's connection. */
export class States {
  readonly recorder = new Recorder<ConnectionState>();

  constructor({ state }: Switchboard) {
    this.recorder.next(state.getSnapshot());
    state.subscribe(() => {
      this.recorder.next(state.getSnapshot());
    });
  }

  get seen(): readonly string[] {
    return this.recorder.seen.map(({ status }) => status);
  }

  /** Resolves when the newest state has this status, and this transport if one is given. */
  async reached(status: ConnectionState["status"], transport?: string): Promise<ConnectionState> {
    const isIt = (state: ConnectionState | undefined) =>
      state?.status === status &&
      (transport === undefined || ("transport" in state && state.transport === transport));
    await this.recorder.until((seen) => isIt(seen.at(-1)));
    const state = this.recorder.seen.at(-1);
    if (!state) throw new Error("there is no state");
    return state;
  }
}
