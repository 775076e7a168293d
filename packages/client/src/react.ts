import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import type { Switchboard } from "./client.ts";
import { goneMessages } from "./gone.ts";
import type { Identified } from "./reducers.ts";
import { type FollowOptions, followRoom, type RoomMessage } from "./room.ts";
import type { ConnectionState } from "./state.ts";

/** The state of the client's connection. The component renders again when it changes. */
export function useConnectionState({ state }: Switchboard): ConnectionState {
  return useSyncExternalStore(state.subscribe, state.getSnapshot, state.getSnapshot);
}

export interface UseRoomOptions extends Pick<FollowOptions, "last" | "keep" | "selection"> {
  /** Called when the server's log does not have the client's position, before `gap` is set. */
  readonly onGap?: () => void;
}

export interface RoomView<Message = RoomMessage> {
  /** Oldest first, without a gap and without repeats. Empty until the first snapshot. */
  readonly messages: readonly Message[];
  /** Null unless a backup was restored while this component showed the room. */
  readonly gap: RoomGap<Message> | null;
  /** The error that ended the following. */
  readonly error: Error | null;
}

export interface RoomGap<Message> {
  /**
   * The messages that this component has shown, and that the server's log no longer has. Messages
   * that it has not shown may be missing too.
   */
  readonly gone: readonly Message[];
}

/**
 * Follows a room while the component is mounted. If a backup was restored, `messages` becomes a new
 * snapshot, and `gap` has the messages that are gone. A `selection` must contain `id`.
 */
export function useRoom<Message extends Identified = RoomMessage>(
  client: Switchboard,
  roomId: string,
  { last, keep, selection, onGap }: UseRoomOptions = {},
): RoomView<Message> {
  const latestOnGap = useRef(onGap);
  useEffect(() => {
    latestOnGap.current = onGap;
  });
  const store = useMemo(() => {
    const options = {
      ...(last !== undefined && { last }),
      ...(keep !== undefined && { keep }),
      ...(selection !== undefined && { selection }),
    };
    return roomStore<Message>(client, roomId, options, () => latestOnGap.current?.());
  }, [client, roomId, last, keep, selection]);
  return useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);
}

/** A room as a store of React: it is followed while the store has a subscriber. */
function roomStore<Message extends Identified>(
  client: Switchboard,
  roomId: string,
  options: FollowOptions<Message>,
  onGap: () => void,
) {
  let view: RoomView<Message> = { messages: [], gap: null, error: null };
  return {
    getSnapshot: () => view,
    subscribe: (changed: () => void) => {
      const become = (changes: Partial<RoomView<Message>>) => {
        view = { ...view, ...changes };
        changed();
      };
      /** The messages that were shown before the gap, until the snapshot after it. */
      let before: readonly Message[] | undefined;
      const follower = followRoom<Message>(client, roomId, {
        ...options,
        onState: ({ messages }) => {
          if (!before) {
            become({ messages, error: null });
            return;
          }
          const gone = [...(view.gap?.gone ?? []), ...goneMessages(before, messages, options.last)];
          before = undefined;
          become({ messages, gap: { gone }, error: null });
        },
        onGap: () => {
          before = view.messages;
          onGap();
          return "from-now";
        },
        onError: (error) => {
          become({ error });
        },
      });
      return follower.stop;
    },
  };
}
