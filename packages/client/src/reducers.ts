/** A user as the document selects them. `id` must be selected. */
export interface Identified {
  readonly id: string;
}

/** A user who is present, as the document selects it: `{ user { id } }` and other fields. */
export interface Present {
  readonly user: Identified;
}

/** The field `presence` of a result. Select all four fields. */
export interface PresenceEvent<P extends Present = Present> {
  readonly count: number;
  readonly present?: readonly P[] | null;
  readonly joined: readonly P[];
  readonly left: readonly Identified[];
}

export interface PresenceState<P extends Present = Present> {
  /** The users who are present, longest present first. The server may not list all. */
  readonly users: readonly P[];
  /** The number of all present users. */
  readonly count: number;
}

/**
 * Applies a result of `presence` to a state; the first state is undefined. A snapshot replaces the
 * state. A delta changes it. A result without data leaves it.
 */
export function presenceReducer<P extends Present>(
  state: PresenceState<P> | undefined,
  result: { readonly data?: { readonly presence?: PresenceEvent<P> | null } | null },
): PresenceState<P> | undefined {
  const event = result.data?.presence;
  if (!event) return state;
  if (event.present) return { users: event.present, count: event.count };
  const gone = new Set(
    [...event.left, ...event.joined.map(({ user }) => user)].map(({ id }) => id),
  );
  const stayed = (state?.users ?? []).filter(({ user }) => !gone.has(user.id));
  return { users: [...stayed, ...event.joined], count: event.count };
}

/**
 * Applies a result of `typing`: the users who are typing. Each result lists all of them. A result
 * without data leaves the state.
 */
export function typingReducer<U extends Identified>(
  state: readonly U[] | undefined,
  result: { readonly data?: { readonly typing?: { readonly users: readonly U[] } | null } | null },
): readonly U[] | undefined {
  return result.data?.typing?.users ?? state;
}
