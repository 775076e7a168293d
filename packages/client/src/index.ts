export type { Backoff } from "./backoff.ts";
export {
  type CallOptions,
  createSwitchboard,
  type SubscribeOptions,
  type Switchboard,
} from "./client.ts";
export { SwitchboardError } from "./errors.ts";
export type { SwitchboardOptions } from "./options.ts";
export {
  type Identified,
  type Present,
  type PresenceEvent,
  presenceReducer,
  type PresenceState,
  typingReducer,
} from "./reducers.ts";
export {
  type FollowOptions,
  followRoom,
  type RoomFollower,
  type RoomMessage,
  type RoomState,
} from "./room.ts";
export type { ConnectionState, Observed } from "./state.ts";
export type { Gap, GapDecision, OnGap } from "./stream.ts";
export type { Token, TokenRequest } from "./token.ts";
export type { Timeouts, TransportName } from "./transport.ts";
export type { Document, Result, Sink, Variables } from "./types.ts";
