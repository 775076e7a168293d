export type { TestClock } from "./clock.ts";
export type { RequestOptions } from "./request.ts";
export type { Seed, SeedMember, SeedMessage, SeedRoom, SeedUser } from "./seed.ts";
export { startSwitchboard, type StartOptions, type TestServer } from "./server.ts";
