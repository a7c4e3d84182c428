/**
 * Writes the frontend messages of PostgreSQL's extended query protocol (version 3.0) one after
 * another into one buffer, so that a flight is one write to the socket.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */

const SCRATCH_BYTES = 64 * 1024;
const PARAMETERS_MAX = 65_535;

const PARSE = 0x50;
const BIND = 0x42;
const DESCRIBE = 0x44;
const EXECUTE = 0x45;
const CLOSE = 0x43;
const SYNC = 0x53;
const STATEMENT = 0x53;
const PORTAL = 0x50;

let scratch = Buffer.allocUnsafe(SCRATCH_BYTES);
let used = 0;

function ensure(bytes: number): void {
  if (scratch.length - used >= bytes) return;
  const larger = Buffer.allocUnsafe((used + bytes) * 2);
  scratch.copy(larger, 0, 0, used);
  scratch = larger;
}

function begin(code: number): number {
  ensure(5);
  scratch[used] = code;
  used += 5;
  return used - 4;
}

function end(lengthAt: number): void {
  putInt32(lengthAt, used - lengthAt);
}

function putInt32(at: number, value: number): void {
  scratch[at] = value >>> 24;
  scratch[at + 1] = value >>> 16;
  scratch[at + 2] = value >>> 8;
  scratch[at + 3] = value;
}

function int16(value: number): void {
  ensure(2);
  scratch[used] = value >>> 8;
  scratch[used + 1] = value;
  used += 2;
}

function cString(text: string): void {
  ensure(text.length * 3 + 1);
  used += scratch.write(text, used);
  scratch[used] = 0;
  used += 1;
}

function parameter(value: string | Buffer | null): void {
  if (value === null) {
    ensure(4);
    putInt32(used, -1);
    used += 4;
    return;
  }
  ensure(4 + (typeof value === "string" ? value.length * 3 : value.length));
  const bytes =
    typeof value === "string" ? scratch.write(value, used + 4) : value.copy(scratch, used + 4);
  putInt32(used, bytes);
  used += 4 + bytes;
}

/** Forgets what was written before; call it before the first message. */
export function reset(): void {
  used = 0;
}

/** Sync: ends a flight; what goes wrong before it does not touch what comes after it. */
export function writeSync(): void {
  end(begin(SYNC));
}

/** How much has been written, for `rewind`. */
export function position(): number {
  return used;
}

/** Forgets what was written since `to`. */
export function rewind(to: number): void {
  used = to;
}

/** Everything written since `reset`, in a buffer of its own. */
export function take(): Buffer {
  const flight = Buffer.allocUnsafe(used);
  scratch.copy(flight, 0, 0, used);
  // One huge statement must not hold its memory for the life of the process.
  if (scratch.length > 16 * SCRATCH_BYTES) scratch = Buffer.allocUnsafe(SCRATCH_BYTES);
  return flight;
}

/** Parse: makes the prepared statement `name` ("" for the unnamed one). */
export function writeParse(name: string, text: string): void {
  if (text.includes("\0")) throw new TypeError("A statement's text has a zero byte");
  const at = begin(PARSE);
  cString(name);
  cString(text);
  int16(0);
  end(at);
}

/** Bind to the unnamed portal; buffers travel as binary, everything else as text. */
export function writeBind(name: string, values: readonly (string | Buffer | null)[]): void {
  const count = values.length;
  if (count > PARAMETERS_MAX) {
    throw new RangeError(`A statement has ${count} parameters; the limit is ${PARAMETERS_MAX}`);
  }
  const at = begin(BIND);
  cString("");
  cString(name);
  if (values.some((value) => typeof value === "object" && value !== null)) {
    int16(count);
    for (const value of values) int16(typeof value === "object" && value !== null ? 1 : 0);
  } else {
    int16(0);
  }
  int16(count);
  for (const value of values) parameter(value);
  int16(0);
  end(at);
}

/** Describe the unnamed portal. */
export function writeDescribe(): void {
  const at = begin(DESCRIBE);
  ensure(2);
  scratch[used] = PORTAL;
  scratch[used + 1] = 0;
  used += 2;
  end(at);
}

/** Execute the unnamed portal to its end. */
export function writeExecute(): void {
  const at = begin(EXECUTE);
  ensure(5);
  scratch.fill(0, used, used + 5);
  used += 5;
  end(at);
}

/** Close a prepared statement; one that does not exist is no error. */
export function writeClose(name: string): void {
  const at = begin(CLOSE);
  ensure(1);
  scratch[used] = STATEMENT;
  used += 1;
  cString(name);
  end(at);
}
