export type { TestClock } from "./clock.ts";
export type { Seed, SeedMember, SeedMessage, SeedRoom, SeedUser } from "./seed.ts";
export {
  type RequestOptions,
  startSwitchboard,
  type StartOptions,
  type TestServer,
} from "./server.ts";
