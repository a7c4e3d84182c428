import type { Version } from "../rules/history.ts";
import type { Answer, Ask, Cell, Token } from "./types.ts";
import { isNewer } from "./protocol.ts";

/** How a replica stands. */
export interface MemberStatus {
  readonly isUp: boolean;
  readonly role: "leader" | "follower" | "candidate" | "peer";
  readonly term: number;
  /** The replica that it takes for the leader; null when it knows of none, or there is none. */
  readonly leader: number | null;
  /** The newest change that it has applied. */
  readonly applied: Version;
  /** Everything acknowledged before this long ago is in it; null when it has no proof. */
  readonly stalenessMs: number | null;
  /** How many changes it has applied, for a comparison. */
  readonly held: number;
  /** How much it holds for replicas that lag. */
  readonly logEntries: number;
  /** In AP, how many writes of each replica it knows. */
  readonly vector: readonly number[] | null;
}

/** One replica, as its cluster uses it. */
export interface Member<Message> {
  /** Answers once, within the operation's timeout unless it crashes. */
  ask(ask: Ask, done: (answer: Answer) => void): void;
  /** Whether it would answer the read at once. */
  mayRead(ask: Ask): boolean;
  receive(from: number, message: Message): void;
  /** Stops it; what it had not synced is gone. Requests under way are never answered. */
  crash(): void;
  /** Starts it with what its disk has. */
  restart(): void;
  status(): MemberStatus;
  /** What it holds under a key, however old. */
  cellOf(key: string): Cell | null;
  /** The version that a write was applied with; null when it was not, or is forgotten. */
  versionOf(id: string): Version | null;
}

/** The version before every write. */
export const noVersion: Version = { term: 0, seq: 0 };

/** The newer one of two versions. */
export const newerOf = (a: Version, b: Version): Version => (isNewer(a, b) ? a : b);

/** What is the same in every refusal. */
export const refusal = (
  status: "refused" | "unknown",
  reason: string,
  token: Token | null,
): Answer => ({
  status,
  reason,
  isRequests: false,
  value: null,
  version: null,
  acknowledgements: 0,
  stalenessMs: null,
  stalenessVersions: null,
  token,
});
