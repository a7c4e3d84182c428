import { audit } from "#kernel/audit/audit.ts";
import type { Db, OnBehalf } from "#kernel/db/types.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { Lease } from "../rules/lease.ts";
import { auditedCommand } from "../rules/exec.ts";
import type { NewExec } from "../schemas/exec.ts";
import type { WrittenFile } from "../schemas/files.ts";
import { leaseResource } from "./apply.ts";

/** Whose lease was reached into, and on whose behalf. */
export interface Reached {
  readonly tenant: TenantRef;
  readonly lease: Pick<Lease, "id">;
  readonly on: OnBehalf;
}

const note = (db: Db, { tenant, lease, on }: Reached, action: string, after: object) =>
  db.inTenant(
    tenant,
    async (tx) => audit(tx, { action, resource: leaseResource(lease), after }),
    on,
  );

/**
 * Records that somebody runs a program in a lease: before it runs, so that none goes unrecorded.
 * What it reads and writes is nobody's business here.
 */
export function noteExec(db: Db, reached: Reached, asked: NewExec): Promise<void> {
  const { command, stdin, timeoutSeconds } = asked;
  const stdinBytes = stdin === undefined ? 0 : Buffer.byteLength(stdin);
  const after = { command: auditedCommand(command), stdinBytes, timeoutSeconds };
  return note(db, reached, "lease.exec", after);
}

/** Records that somebody opens a terminal in a lease, before it is open; null: with a shell. */
export function noteTerminal(
  db: Db,
  reached: Reached,
  command: readonly string[] | null,
): Promise<void> {
  const after = { command: command && auditedCommand(command) };
  return note(db, reached, "lease.terminal_opened", after);
}

/** Records that somebody wrote a file into a lease. */
export function noteFileWritten(db: Db, reached: Reached, file: WrittenFile): Promise<void> {
  return note(db, reached, "lease.file_written", file);
}
