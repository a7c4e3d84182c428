/** The last bytes of a stream, each known by how many came before it. */
export interface Replay {
  push(chunk: Buffer): void;
  /** How many bytes there were in all. */
  readonly endPosition: number;
  /**
   * All from `position` on, or, where that is forgotten, from the first byte that is still known.
   */
  since(position: number): { position: number; bytes: Buffer };
}

const firstBytes = 4_096;

/** Keeps the last `bytesMax` bytes, and takes no more memory than there was to keep. */
export function createReplay(bytesMax: number): Replay {
  let ring = Buffer.alloc(Math.min(firstBytes, bytesMax));
  let keptBytes = 0;
  let endPosition = 0;

  /** The last `count` bytes, in order. */
  const last = (count: number): Buffer => {
    const start = (endPosition - count) % ring.length;
    const end = start + count;
    if (end <= ring.length) return Buffer.from(ring.subarray(start, end));
    return Buffer.concat([ring.subarray(start), ring.subarray(0, end - ring.length)]);
  };

  const grow = (wantedBytes: number) => {
    let size = ring.length;
    while (size < wantedBytes && size < bytesMax) size = Math.min(size * 2, bytesMax);
    if (size === ring.length) return;
    const kept = last(keptBytes);
    ring = Buffer.alloc(size);
    put(kept, endPosition - keptBytes);
  };

  const put = (bytes: Buffer, position: number) => {
    const start = position % ring.length;
    const first = bytes.subarray(0, ring.length - start);
    first.copy(ring, start);
    bytes.subarray(first.length).copy(ring, 0);
  };

  return {
    get endPosition() {
      return endPosition;
    },
    push(chunk) {
      grow(keptBytes + chunk.length);
      const kept = chunk.subarray(Math.max(0, chunk.length - ring.length));
      put(kept, endPosition + chunk.length - kept.length);
      endPosition += chunk.length;
      keptBytes = Math.min(ring.length, keptBytes + chunk.length);
    },
    since(position) {
      const from = Math.max(position, endPosition - keptBytes);
      return { position: from, bytes: last(endPosition - from) };
    },
  };
}
