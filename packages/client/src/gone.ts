import type { Identified } from "./reducers.ts";
import { lastDefault } from "./room.ts";

/**
 * The messages of `before` that the log no longer has. `snapshot` has the newest messages of the
 * log. Both are in the order of the log, so what follows their last common message is gone.
 */
export function goneMessages<Message extends Identified>(
  before: readonly Message[],
  snapshot: readonly Message[],
  last = lastDefault,
): readonly Message[] {
  const ids = new Set(snapshot.map(({ id }) => id));
  const common = before.map(({ id }) => ids.has(id)).lastIndexOf(true);
  // Without a common message, those of `before` may be older than the snapshot.
  const isUnknown = common < 0 && snapshot.length >= last;
  return isUnknown ? [] : before.slice(common + 1);
}
