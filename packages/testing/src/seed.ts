/** The data that a server begins with, and begins again with after each reset. */
export interface Seed {
  readonly users?: readonly SeedUser[];
  readonly rooms?: readonly SeedRoom[];
}

export interface SeedUser {
  readonly name: string;
  /** `usr_` and 32 hexadecimal digits. Without it, the server computes the id from the name. */
  readonly id?: string;
  /** A text that the server accepts as this user's token. It never expires. */
  readonly token?: string;
}

export interface SeedRoom {
  readonly id: string;
  readonly name?: string;
  /** PUBLIC unless it is given. */
  readonly visibility?: "PUBLIC" | "PRIVATE";
  /** The name or the id of a user. Needed for a room that does not exist yet. */
  readonly owner?: string;
  readonly members?: readonly SeedMember[];
  readonly messages?: readonly SeedMessage[];
}

export interface SeedMember {
  /** The name or the id of a user. */
  readonly user: string;
  /** MEMBER unless it is given. */
  readonly role?: "OWNER" | "MODERATOR" | "MEMBER";
}

export interface SeedMessage {
  /** The name or the id of a user. */
  readonly sender: string;
  readonly text: string;
}
