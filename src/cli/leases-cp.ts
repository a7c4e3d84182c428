import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, join, posix } from "node:path";
import { UsageError } from "./errors.ts";
import { openFile, save, uploaded } from "./files.ts";
import { idOf } from "./names.ts";
import { path } from "./transport.ts";
import type { CommandSpec, Invocation } from "./types.ts";

/** As long as the server lets a file take to arrive, and to be written. */
const timeoutMs = 650_000;

interface Place {
  lease: string;
  file: string;
}

/** `lease:file`; null for a file of this machine, which `./a:b` is in any case. */
function placeOf(text: string): Place | null {
  const [, lease, file] = /^([^/:]+):(.+)$/s.exec(text) ?? [];
  return lease === undefined || file === undefined ? null : { lease, file };
}

/** The SHA-256 of a file; what changes between now and its sending is refused by the server. */
async function sumOf(name: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(name)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

interface Written {
  path: string;
  sizeBytes: number;
  sha256: string;
}

async function upload(invocation: Invocation, from: string, to: Place): Promise<void> {
  const { client, out } = invocation;
  const id = await idOf(client, "lease", to.lease);
  const intoFolder = to.file.endsWith("/");
  if (intoFolder && from === "-") throw new UsageError("Say how the file is to be called");
  const target = intoFolder ? posix.join(to.file, basename(from)) : to.file;
  const { file, sizeBytes } = await openFile(from, invocation);
  const progress = out.progress("Sending", sizeBytes);
  try {
    const sha256 = from === "-" ? undefined : await sumOf(from);
    const written = await client.call<Written & Record<string, unknown>>({
      method: "PUT",
      path: path`/leases/${id}/files`,
      query: { path: target, sha256 },
      headers: { "content-type": "application/octet-stream" },
      body: uploaded(file, progress),
      timeoutMs,
    });
    progress.end();
    const { sizeBytes: bytes } = written;
    out.result(written, () => out.success(`Wrote ${written.path} (${bytes} bytes)`));
  } finally {
    progress.end();
    file.destroy();
  }
}

async function isFolder(name: string): Promise<boolean> {
  try {
    return (await stat(name)).isDirectory();
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return false;
    throw error;
  }
}

async function download(invocation: Invocation, from: Place, to: string): Promise<void> {
  const { client } = invocation;
  const id = await idOf(client, "lease", from.lease);
  const target = to !== "-" && (await isFolder(to)) ? join(to, posix.basename(from.file)) : to;
  const call = { path: path`/leases/${id}/files`, query: { path: from.file }, timeoutMs };
  await save(invocation, call, target);
}

/** Files into leases and out of them. */
export const cpCommand: CommandSpec = {
  name: "cp <from> <to>",
  summary: "copy a file into a lease or out of it",
  help:
    "One of them is of a lease, by its name or id and a colon; - is standard input or output:\n" +
    "  plimsoll leases cp ./data.csv box:/workspace/\n" +
    "  plimsoll leases cp box:/workspace/report.pdf .",
  async run(invocation) {
    const [from = "", to = ""] = invocation.args;
    const [source, target] = [placeOf(from), placeOf(to)];
    if (source && !target) return download(invocation, source, to);
    if (target && !source) return upload(invocation, from, target);
    throw new UsageError("One of the two is to be a file of a lease: box:/workspace/data.csv");
  },
};
