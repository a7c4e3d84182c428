import { randomBytes, randomFillSync } from "node:crypto";
import type { Clock } from "./clock.ts";

/** The only source of randomness and ids; tests hold one of their own. */
export interface Random {
  bytes(length: number): Buffer;
  /** A float in [0, 1). */
  float(): number;
  /**
   * A UUID version 7 (RFC 9562): those of one process sort in the order in which they were made.
   */
  id(): string;
}

/** A UUID of any version as the kernel writes it: in lower case. */
export const uuidPattern = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/** Whether it is a UUID of any version, in lower case. */
export const isUuid = (text: string): boolean => uuidPattern.test(text);

/** When an id of version 7 was made, in milliseconds since 1970. Throws for any other. */
export function timeOfId(id: string): number {
  if (!isUuid(id) || id[14] !== "7") throw new TypeError(`"${id}" is no UUID of version 7`);
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

const SEQUENCE_MAX = 0xfff;

/** The 12 bits after the version count the ids of one millisecond (RFC 9562, 6.2, method 1). */
function uuidV7(timeMs: number, sequence: number, bytes: Buffer): string {
  bytes.writeUIntBE(timeMs, 0, 6);
  bytes.writeUInt16BE(0x7000 | sequence, 6);
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  const part = (from: number, to?: number) => hex.slice(from, to);
  return `${part(0, 8)}-${part(8, 12)}-${part(12, 16)}-${part(16, 20)}-${part(20)}`;
}

const ID_BYTES = 16;
const IDS_AHEAD = 256;

function randomFrom(
  clock: Clock,
  bytes: (length: number) => Buffer,
  idBytes: () => Buffer = () => bytes(ID_BYTES),
): Random {
  let timeMs = 0;
  let sequence = 0;
  return {
    bytes,
    float: () => bytes(6).readUIntBE(0, 6) / 2 ** 48,
    id() {
      const nowMs = clock.nowMs();
      if (nowMs > timeMs) {
        timeMs = nowMs;
        sequence = 0;
      } else if (sequence < SEQUENCE_MAX) {
        sequence += 1;
      } else {
        // More than 4,096 in one millisecond borrow from the next one.
        timeMs += 1;
        sequence = 0;
      }
      return uuidV7(timeMs, sequence, idBytes());
    },
  };
}

/**
 * Randomness from the operating system. What ids are made of is fetched for 256 of them at once:
 * asking for 16 bytes costs as much as for 4,096, and every request has an id.
 */
export function systemRandom(clock: Clock): Random {
  const ahead = Buffer.alloc(ID_BYTES * IDS_AHEAD);
  let used = ahead.length;
  return randomFrom(clock, randomBytes, () => {
    if (used === ahead.length) {
      randomFillSync(ahead);
      used = 0;
    }
    used += ID_BYTES;
    return ahead.subarray(used - ID_BYTES, used);
  });
}

/** Randomness that repeats for a seed (mulberry32), for tests only: never for a secret. */
export function seededRandom(clock: Clock, seed: number): Random {
  let state = seed >>> 0;
  const nextByte = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) & 0xff;
  };
  return randomFrom(clock, (length) => Buffer.from(Array.from({ length }, nextByte)));
}
