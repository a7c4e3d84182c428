/** Parts of passwords that ship with examples, tutorials and default installations. */
const guessable = [
  "changeme",
  "change-me",
  "change_me",
  "password",
  "passw0rd",
  "secret",
  "example",
  "insecure",
  "default",
  "letmein",
  "qwerty",
  "postgres",
  "rabbitmq",
  "plimsoll",
  "keycloak",
  "welcome",
  "replace",
  "12345678",
  "00000000",
  "deadbeef",
];

/** Whole passwords that are too short to be forbidden as a part. */
const guessableWhole = ["guest", "admin", "root", "test", "demo", "user", "redis", "dev"];

function repeatsEvery(bytes: Uint8Array, period: number): boolean {
  return bytes.every((byte, at) => byte === bytes[at % period]);
}

function stepsEvenly(bytes: Uint8Array): boolean {
  const step = ((bytes[1] as number) - (bytes[0] as number) + 256) % 256;
  return bytes.every(
    (byte, at) => at === 0 || (byte - (bytes[at - 1] as number) + 256) % 256 === step,
  );
}

/**
 * Why 32 bytes can't be a random key, or null. A random key fails by chance with a probability
 * below 10^-12: of 32 random bytes about 30 differ, and all being printable has probability 10^-14.
 */
export function keyWeakness(key: Uint8Array): string | null {
  for (let period = 1; period <= key.length / 2; period += 1) {
    if (repeatsEvery(key, period)) return "repeats itself";
  }
  if (stepsEvenly(key)) return "is a sequence";
  if (new Set(key).size < 16) return "has too few different bytes";
  if (key.every((byte) => byte >= 0x20 && byte < 0x7f)) return "is a text, not random bytes";
  return null;
}

/** Bits of a text at most, taking each character as independent of the others. */
function entropyBits(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  const length = [...text].length;
  let bits = 0;
  for (const count of counts.values()) bits -= count * Math.log2(count / length);
  return bits;
}

/** Why a password or token is guessable, or null. The reason never quotes it. */
export function textWeakness(text: string, minLength: number, minBits: number): string | null {
  const lower = text.toLowerCase();
  if (text.length < minLength) return `is shorter than ${minLength} characters`;
  if (guessableWhole.includes(lower)) return "is a well-known default";
  if (guessable.some((part) => lower.includes(part))) return "contains a well-known default";
  if (entropyBits(text) < minBits) return "is too regular";
  return null;
}
