/** A piece of what a program wrote, as the engine sends it where there is no terminal. */
export interface Piece {
  readonly stream: "stdout" | "stderr";
  readonly payload: Buffer;
  /** Whether the engine's frame ends with it; a log entry is one frame. */
  readonly endsFrame: boolean;
}

const headerBytes = 8;
/** Stdin's own number is never sent; 3 carries the engine's complaints. */
const streamsByNumber = ["stdout", "stdout", "stderr", "stderr"] as const;

/**
 * Takes Docker's multiplexed stream apart, however the chunks are cut: a frame is one byte for the
 * stream, three that are zero, four for the length, then the payload. Nothing is held back but a
 * header in parts. Throws for what is no such stream, which a terminal's is not.
 */
export function createDemultiplexer(): (chunk: Buffer) => Piece[] {
  let header: Buffer = Buffer.alloc(0);
  let stream: Piece["stream"] = "stdout";
  let missing = 0;
  const readHeader = (whole: Buffer) => {
    const number = whole[0] as number;
    const known = streamsByNumber[number];
    if (known === undefined || whole.readUIntBE(1, 3) !== 0) {
      throw new Error("The engine's stream is not multiplexed as it should be");
    }
    stream = known;
    missing = whole.readUInt32BE(4);
  };
  return (chunk) => {
    const pieces: Piece[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      if (missing === 0) {
        const more = rest.subarray(0, headerBytes - header.length);
        header = header.length === 0 ? more : Buffer.concat([header, more]);
        rest = rest.subarray(more.length);
        if (header.length < headerBytes) break;
        readHeader(header);
        header = Buffer.alloc(0);
        continue;
      }
      const payload = rest.subarray(0, missing);
      missing -= payload.length;
      rest = rest.subarray(payload.length);
      pieces.push({ stream, payload, endsFrame: missing === 0 });
    }
    // A header in parts must not keep the whole chunk in memory.
    header = Buffer.from(header);
    return pieces;
  };
}

/** Output that is kept up to a limit; the rest is counted as cut off and forgotten. */
export interface BoundedOutput {
  push(payload: Buffer): void;
  readonly isTruncated: boolean;
  take(): Buffer;
}

/** Keeps the first `bytesMax` bytes of an output. */
export function boundedOutput(bytesMax: number): BoundedOutput {
  const kept: Buffer[] = [];
  let bytes = 0;
  let isTruncated = false;
  return {
    push(payload) {
      const room = bytesMax - bytes;
      if (payload.length > room) isTruncated = true;
      if (room <= 0) return;
      // A copy, because a slice would keep the network's whole chunk alive.
      const fitting = Buffer.from(payload.subarray(0, room));
      kept.push(fitting);
      bytes += fitting.length;
    },
    get isTruncated() {
      return isTruncated;
    },
    take: () => Buffer.concat(kept),
  };
}
