/** What an archive is to hold; folders have no content. */
export interface TarEntry {
  readonly name: string;
  readonly content: Buffer | null;
  readonly mode: number;
}

const blockBytes = 512;

const padded = (bytes: number): number => Math.ceil(bytes / blockBytes) * blockBytes;

function headerOf({ name, content, mode }: TarEntry): Buffer {
  const header = Buffer.alloc(blockBytes);
  const octal = (value: number, at: number, length: number) =>
    header.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  if (Buffer.byteLength(name) > 100) throw new Error("A name in a tar archive has 100 bytes");
  header.write(name, 0);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(content?.length ?? 0, 124, 12);
  octal(0, 136, 12);
  header.write(content === null ? "5" : "0", 156);
  header.write("ustar\u000000", 257, "latin1");
  header.fill(" ", 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
}

/** A small tar archive (POSIX ustar), root's, as the engine's API takes it. */
export function tarOf(entries: readonly TarEntry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const content = entry.content ?? Buffer.alloc(0);
    return [headerOf(entry), content, Buffer.alloc(padded(content.length) - content.length)];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * blockBytes)]);
}

/**
 * The content of the first plain file of an archive, after headers that only say more about it;
 * null where it begins with something else.
 */
export function firstFileOf(archive: Buffer): Buffer | null {
  let at = 0;
  while (archive.length >= at + blockBytes) {
    const type = String.fromCharCode(archive[at + 156] as number);
    const sizeBytes = Number.parseInt(archive.toString("latin1", at + 124, at + 135), 8);
    const start = at + blockBytes;
    if (!(sizeBytes >= 0) || archive.length < start + sizeBytes) return null;
    if (type === "0" || type === "\0") return archive.subarray(start, start + sizeBytes);
    if (type !== "x" && type !== "g") return null;
    at = start + padded(sizeBytes);
  }
  return null;
}
