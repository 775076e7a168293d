import { useSyncExternalStore } from "react";
import type { Switchboard } from "./client.ts";
import type { ConnectionState } from "./state.ts";

/** The state of the client's connection. The component renders again when it changes. */
export function useConnectionState({ state }: Switchboard): ConnectionState {
  return useSyncExternalStore(state.subscribe, state.getSnapshot, state.getSnapshot);
}
