import { createHash } from "node:crypto";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { FastifyRequest } from "fastify";
import { requestErrors } from "../errors.ts";

const chunkBytes = 65_536;

/**
 * A file for as long as a piece of work takes. It has no name, so that nobody else can open it and
 * nothing is left of it, not even by a process that is killed.
 */
export interface Spool {
  append(bytes: Buffer | string): Promise<void>;
  /** From the first byte on, as often as is wanted; not while something is being appended. */
  read(): AsyncIterable<Buffer>;
}

/** Runs `work` with a file that is gone afterwards. A full disk is answered 503. */
export async function withSpool<T>(work: (spool: Spool) => Promise<T>): Promise<T> {
  const file = await openNameless();
  try {
    return await work({
      append: (bytes) => file.appendFile(bytes),
      read: () => chunksOf(file),
    });
  } catch (error) {
    throw isDiskFull(error)
      ? requestErrors.unavailable({ detail: "There is no room left.", cause: error })
      : error;
  } finally {
    await file.close();
  }
}

/**
 * Keeps a streamed body aside, so that what follows holds no database connection while a slow
 * client is still sending, can read the body more than once, and knows its digest, by which an
 * Idempotency-Key recognises it.
 */
export async function spoolBody(request: FastifyRequest, spool: Spool): Promise<void> {
  const { body } = request;
  if (!(body instanceof Readable)) throw new TypeError("Only a route that `accepts` has a stream");
  const digest = createHash("sha256");
  for await (const chunk of body as AsyncIterable<Buffer>) {
    digest.update(chunk);
    await spool.append(chunk);
  }
  request.bodyDigest = digest.digest();
}

/** A stream over the file would close it when its reader stops early, whatever it is told. */
async function* chunksOf(file: FileHandle): AsyncGenerator<Buffer> {
  for (let at = 0; ; ) {
    const buffer = Buffer.allocUnsafe(chunkBytes);
    const { bytesRead } = await file.read(buffer, 0, chunkBytes, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function openNameless(): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), "plimsoll-"));
  try {
    return await open(join(folder, "spool"), "wx+", 0o600);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function isDiskFull(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === "ENOSPC" || code === "EDQUOT";
}
