import { createHash } from "node:crypto";
import { posix } from "node:path";
import { pipeline, Readable, Transform } from "node:stream";
import { buffer } from "node:stream/consumers";
import { ById } from "#kernel/http/schemas.ts";
import type { MutatingReply, MutatingRequest } from "#kernel/http/types.ts";
import type { Routes } from "#kernel/service.ts";
import { whileInUse } from "../changes/access.ts";
import { noteFileWritten } from "../changes/reached.ts";
import { leasesErrors } from "../errors.ts";
import { runtimeErrors } from "../runtimes/errors.ts";
import { FileQuery, NewFileQuery, WrittenFile } from "../schemas/files.ts";
import type { LeasesDeps } from "../types.ts";
import { reachErrors } from "./exec.ts";
import { accessOf, type LeaseSeats, leaseSeats } from "./reach.ts";

const mediaType = "application/octet-stream";
/** Runtimes give up after that too. */
const arrivalTimeoutMs = 600_000;
/** A file of so many bytes is read whole before it is sent, so that its digest can be told. */
const digestBytesMost = 1_048_576;

const fileErrors = [
  ...reachErrors,
  runtimeErrors.path_refused,
  runtimeErrors.file_missing,
  runtimeErrors.file_too_large,
];

/** Files into containers and out of them. */
export const fileRoutes: Routes<LeasesDeps> = (app, deps) => {
  const seats = leaseSeats("transfers", { max: 64, perTenantMax: 16, perLeaseMax: 4 });
  writeRoute(seats)(app, deps);
  readRoute(seats)(app, deps);
};

const writeRoute =
  (seats: LeaseSeats): Routes<LeasesDeps> =>
  (app, deps) => {
    const { db, leases } = deps;
    const { fileBytesMax } = leases;
    app.put(
      "/leases/:id/files",
      {
        schema: {
          summary: "Write a file into a lease",
          description:
            `Of up to ${fileBytesMax} bytes, whole or not at all, in place of one that is ` +
            "there; folders on the way are made. Only where its program may write, whatever " +
            "links there are. It counts as use of the lease and is audited.",
          params: ById,
          querystring: NewFileQuery,
          response: { 200: WrittenFile },
        },
        config: {
          permission: "lease:files",
          accepts: [mediaType],
          bodyExamples: { [mediaType]: "test" },
          bodyLimitBytes: fileBytesMax,
          arrivalTimeoutMs,
          errors: [...fileErrors, leasesErrors.wrong_checksum, runtimeErrors.disk_full],
        },
      },
      async (request) => {
        const { tenant, query, actor, id: requestId } = request;
        const body = request.body as Readable;
        const access = await accessOf(deps, request, "use", "lease:files");
        const { lease, runtime, containerId } = access;
        const leave = seats.enter(tenant.id, lease.id);
        try {
          const { content, sizeBytes } = checked(body, query);
          const sha256 = await whileInUse(deps, tenant, lease.id, () =>
            runtime.putFile(containerId, query.path, content, fileBytesMax),
          );
          const file = { path: query.path, sizeBytes: sizeBytes(), sha256 };
          await noteFileWritten(db, { tenant, lease, on: { actor, requestId } }, file);
          return file;
        } finally {
          body.destroy();
          leave();
        }
      },
    );
  };

/** The content, which fails at its end where it is not what was announced: nothing is kept then. */
function checked(body: Readable, { path, sha256 }: NewFileQuery) {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  const content = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sizeBytes += chunk.length;
      if (sha256 !== undefined) hash.update(chunk);
      done(null, chunk);
    },
    flush(done) {
      const sum = hash.digest("hex");
      if (sha256 === undefined || sum === sha256.toLowerCase()) return done();
      const detail = `What came for "${path}" has the SHA-256 ${sum}; nothing of it was kept.`;
      done(leasesErrors.wrong_checksum({ detail, extensions: { sha256: sum, sizeBytes } }));
    },
  });
  pipeline(body, content, () => {
    // Whoever reads the content hears of what is wrong with it.
  });
  return { content, sizeBytes: () => sizeBytes };
}

const readRoute =
  (seats: LeaseSeats): Routes<LeasesDeps> =>
  (app, deps) => {
    const { fileBytesMax } = deps.leases;
    const binary = { [mediaType]: { schema: { type: "string", format: "binary" } } };
    app.get(
      "/leases/:id/files",
      {
        schema: {
          summary: "Read a file of a lease",
          description:
            `Of up to ${fileBytesMax} bytes, as its program's user may read it; a link in its ` +
            "place is refused. Files of up to 1 MiB come with their SHA-256 in Repr-Digest. What " +
            "changes its size while it is read breaks off. Reading is no use of the lease.",
          params: ById,
          querystring: FileQuery,
          response: { 200: { description: "The file.", content: binary } },
        },
        // As long as it says in Content-Length.
        compress: false,
        config: { permission: "lease:files", errors: fileErrors },
      },
      async (request, reply) => {
        const { tenant, query } = request;
        const access = await accessOf(deps, request, "use", "lease:files");
        const leave = seats.enter(tenant.id, access.lease.id);
        try {
          const file = await access.runtime.getFile(access.containerId, query.path);
          return await sendFile(request, reply, { ...file, ...query, fileBytesMax, leave });
        } catch (error) {
          leave();
          throw error;
        }
      },
    );
  };

interface Sending {
  readonly path: string;
  readonly content: Readable;
  readonly sizeBytes: number;
  readonly fileBytesMax: number;
  /** To be called when all of it is sent, or can't be. */
  readonly leave: () => void;
}

async function sendFile(
  request: MutatingRequest,
  reply: MutatingReply,
  { path, content, sizeBytes, fileBytesMax, leave }: Sending,
): Promise<never> {
  if (sizeBytes > fileBytesMax) {
    content.destroy();
    const detail = `"${path}" has ${sizeBytes} bytes; ${fileBytesMax} may be sent.`;
    throw runtimeErrors.file_too_large({ detail });
  }
  const head = {
    "content-type": mediaType,
    "content-length": sizeBytes,
    "content-disposition": dispositionOf(path),
  };
  if (request.method === "HEAD") {
    content.destroy();
    leave();
    return reply.headers(head).send(Readable.from([])) as unknown as never;
  }
  const sent = new Transform(exactly(sizeBytes, path));
  pipeline(content, sent, leave);
  if (sizeBytes > digestBytesMost) return reply.headers(head).send(sent) as unknown as never;
  const bytes = await buffer(sent);
  const sum = createHash("sha256").update(bytes).digest("base64");
  const digest = { "repr-digest": `sha-256=:${sum}:` };
  return reply.headers({ ...head, ...digest }).send(bytes) as unknown as never;
}

/** Passes on what has the length that was told; a reader must not wait for more, or get more. */
function exactly(sizeBytes: number, path: string) {
  let missing = sizeBytes;
  const changed = () =>
    runtimeErrors.unavailable({ detail: `"${path}" has changed while it was read. Try again.` });
  return {
    transform(
      chunk: Buffer,
      _encoding: string,
      done: (error: Error | null, data?: Buffer) => void,
    ) {
      missing -= chunk.length;
      if (missing < 0) done(changed());
      else done(null, chunk);
    },
    flush: (done: (error?: Error | null) => void) => done(missing === 0 ? null : changed()),
  };
}

/** The file's name for who saves it (RFC 6266), whatever characters it has. */
function dispositionOf(path: string): string {
  const name = posix.basename(path);
  const plain = name.replace(/[^\w.-]/g, "_");
  const full = encodeURIComponent(name).replace(/['()*!]/g, (mark) => {
    return `%${mark.charCodeAt(0).toString(16).toUpperCase()}`;
  });
  return `attachment; filename="${plain}"; filename*=UTF-8''${full}`;
}
