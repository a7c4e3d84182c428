import type { PlatformTx, Transaction, Tx } from "../db/types.ts";
import type { TenantRow } from "../tenancy/store.ts";

export interface OwnMembership {
  tenant: TenantRow;
  role: string;
}

interface OwnMembershipRow extends TenantRow {
  role: string;
}

const ownMembershipsAtMost = 200;

/**
 * A person's active memberships of active tenants, oldest first, before any tenant is entered. The
 * setting opens exactly one policy: reading the memberships of this user.
 */
export async function listOwnMemberships(tx: PlatformTx, userId: string): Promise<OwnMembership[]> {
  const [, answer] = await tx.batch([
    { text: "select set_config('app.user_id', $1, true)", values: [userId] },
    {
      text: `select t.id, t.slug, t.name, t.isolation, t.active, t.version,
                    t.created_at as "createdAt", t.updated_at as "updatedAt", m.role
               from platform.membership m
               join platform.tenant t on t.id = m.tenant_id and t.active and t.deleted_at is null
              where m.user_id = $1 and m.active
              order by m.created_at, m.tenant_id limit $2`,
      values: [userId, ownMembershipsAtMost],
    },
    { text: "select set_config('app.user_id', '', true)" },
  ]);
  const rows = (answer?.rows ?? []) as unknown as OwnMembershipRow[];
  return rows.map(({ role, ...tenant }) => ({ tenant, role }));
}

export interface MemberRow {
  id: string;
  email: string;
  name: string;
  role: string;
  active: boolean;
  version: number;
  createdAt: string;
  updatedAt: string;
}

const memberColumns = `m.user_id as id, u.email, u.name, m.role, m.active, m.version,
  m.created_at as "createdAt", m.updated_at as "updatedAt"`;

export interface MemberFilter {
  role?: string | undefined;
  active?: boolean | undefined;
}

/**
 * Oldest first; `after` is the last one of the page before. Queries of this table name the tenant
 * although row-level security does: it has two policies, and PostgreSQL plans their OR badly.
 */
export async function listMembers(
  tx: Tx,
  page: { filter: MemberFilter; limit: number; after: [createdAt: string, id: string] | null },
): Promise<MemberRow[]> {
  const { rows } = await tx.query<MemberRow>(
    `select ${memberColumns} from platform.membership m
       join platform.app_user u on u.id = m.user_id
      where m.tenant_id = $6
        and ($2::timestamptz is null or (m.created_at, m.user_id) > ($2::timestamptz, $3::uuid))
        and ($4::text is null or m.role = $4) and ($5::bool is null or m.active = $5)
      order by m.created_at, m.user_id limit $1`,
    [
      page.limit,
      page.after?.[0] ?? null,
      page.after?.[1] ?? null,
      page.filter.role ?? null,
      page.filter.active ?? null,
      tx.tenant.id,
    ],
  );
  return rows;
}

/** Null when the user is no member of the tenant. */
export async function findMember(tx: Tx, userId: string): Promise<MemberRow | null> {
  const { rows } = await tx.query<MemberRow>(
    `select ${memberColumns} from platform.membership m
       join platform.app_user u on u.id = m.user_id where m.tenant_id = $1 and m.user_id = $2`,
    [tx.tenant.id, userId],
  );
  return rows[0] ?? null;
}

/** Locked until the transaction ends. */
export async function lockMember(tx: Tx, userId: string): Promise<MemberRow | null> {
  const { rows } = await tx.query<MemberRow>(
    `select ${memberColumns} from platform.membership m
       join platform.app_user u on u.id = m.user_id
      where m.tenant_id = $1 and m.user_id = $2 for update of m`,
    [tx.tenant.id, userId],
  );
  return rows[0] ?? null;
}

/**
 * Locks every active tenant admin, in one order for all: of two who remove each other at the same
 * moment, the second one sees what the first has done. Answers whose account is active too.
 */
export async function lockTenantAdmins(tx: Tx): Promise<string[]> {
  const { rows } = await tx.query<{ id: string; active: boolean }>(
    `select m.user_id as id, u.active from platform.membership m
       join platform.app_user u on u.id = m.user_id
      where m.tenant_id = $1 and m.role = 'tenant_admin' and m.active
      order by m.user_id for update of m`,
    [tx.tenant.id],
  );
  return rows.filter((row) => row.active).map((row) => row.id);
}

/** False when the person is a member already. */
export async function insertMembership(
  tx: Tx,
  row: { userId: string; role: string; now: string },
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `insert into platform.membership (tenant_id, user_id, role, created_at, updated_at)
     values ($1, $2, $3, $4::timestamptz, $4::timestamptz) on conflict do nothing`,
    [tx.tenant.id, row.userId, row.role, row.now],
  );
  return rowCount === 1;
}

/** Lock the row first. */
export async function updateMembership(
  tx: Tx,
  change: { userId: string; role?: string | undefined; active?: boolean | undefined; now: string },
): Promise<void> {
  await tx.query(
    `update platform.membership
        set role = coalesce($2, role), active = coalesce($3, active), version = version + 1,
            updated_at = $4::timestamptz
      where tenant_id = $5 and user_id = $1`,
    [change.userId, change.role ?? null, change.active ?? null, change.now, tx.tenant.id],
  );
}

/** Lock the row first. */
export async function deleteMembership(tx: Tx, userId: string): Promise<void> {
  await tx.query("delete from platform.membership where tenant_id = $1 and user_id = $2", [
    tx.tenant.id,
    userId,
  ]);
}

/** The active role of a person in the transaction's tenant; null when there is none. */
export async function readMembershipRole(tx: Tx, userId: string): Promise<string | null> {
  const { rows } = await tx.query<{ role: string }>(
    "select role from platform.membership where tenant_id = $1 and user_id = $2 and active",
    [tx.tenant.id, userId],
  );
  return rows[0]?.role ?? null;
}

export interface InvitationRow {
  id: string;
  email: string;
  role: string;
  invitedBy: string;
  version: number;
  createdAt: string;
  expiresAt: string;
}

const invitationColumns = `id, email, role, invited_by as "invitedBy", version,
  created_at as "createdAt", expires_at as "expiresAt"`;

/** Stores an invitation by its token's hash. */
export async function insertInvitation(
  tx: Tx,
  row: Omit<InvitationRow, "version"> & { tokenHash: Buffer },
): Promise<InvitationRow> {
  const { rows } = await tx.query<InvitationRow>(
    `insert into platform.invitation
       (tenant_id, id, email, role, token_hash, invited_by, created_at, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7::timestamptz, $8::timestamptz)
     returning ${invitationColumns}`,
    [
      tx.tenant.id,
      row.id,
      row.email,
      row.role,
      row.tokenHash,
      row.invitedBy,
      row.createdAt,
      row.expiresAt,
    ],
  );
  return rows[0] as InvitationRow;
}

/** What may stand in an invitation's way: membership already, and too many that are open. */
export async function readInvited(
  tx: Tx,
  { email, now }: { email: string; now: string },
): Promise<{ isMember: boolean; open: number }> {
  const { rows } = await tx.query<{ isMember: boolean; open: number }>(
    `select exists (select from platform.membership m join platform.app_user u on u.id = m.user_id
                     where m.tenant_id = $3 and u.email = $1) as "isMember",
            (select count(*) from platform.invitation
              where accepted_at is null and expires_at > $2::timestamptz) as open`,
    [email, now, tx.tenant.id],
  );
  return rows[0] as { isMember: boolean; open: number };
}

/** Open ones, oldest first; `after` is the last one of the page before. */
export async function listInvitations(
  tx: Tx,
  page: { now: string; limit: number; after: [createdAt: string, id: string] | null },
): Promise<InvitationRow[]> {
  const { rows } = await tx.query<InvitationRow>(
    `select ${invitationColumns} from platform.invitation
      where accepted_at is null and expires_at > $1::timestamptz
        and ($3::timestamptz is null or (created_at, id) > ($3::timestamptz, $4::uuid))
      order by created_at, id limit $2`,
    [page.now, page.limit, page.after?.[0] ?? null, page.after?.[1] ?? null],
  );
  return rows;
}

/** An open one; null when there is none. */
export async function findInvitation(
  tx: Tx,
  id: string,
  now: string,
): Promise<InvitationRow | null> {
  const { rows } = await tx.query<InvitationRow>(
    `select ${invitationColumns} from platform.invitation
      where id = $1 and accepted_at is null and expires_at > $2::timestamptz`,
    [id, now],
  );
  return rows[0] ?? null;
}

/** The same, locked until the transaction ends. */
export async function lockInvitation(
  tx: Tx,
  id: string,
  now: string,
): Promise<InvitationRow | null> {
  const { rows } = await tx.query<InvitationRow>(
    `select ${invitationColumns} from platform.invitation
      where id = $1 and accepted_at is null and expires_at > $2::timestamptz for update`,
    [id, now],
  );
  return rows[0] ?? null;
}

/** Lock the row first. */
export async function deleteInvitation(tx: Tx, id: string): Promise<void> {
  await tx.query("delete from platform.invitation where id = $1", [id]);
}

/**
 * Uses an invitation up, for one e-mail address; null when it is unknown, used, expired or for
 * somebody else. Of two who accept at once, one gets the row.
 */
export async function acceptInvitation(
  tx: Tx,
  use: { tokenHash: Buffer; email: string; userId: string; now: string },
): Promise<InvitationRow | null> {
  const { rows } = await tx.query<InvitationRow>(
    `update platform.invitation
        set accepted_at = $4::timestamptz, accepted_by = $3, version = version + 1
      where token_hash = $1 and email = $2 and accepted_at is null
        and expires_at > $4::timestamptz
     returning ${invitationColumns}`,
    [use.tokenHash, use.email, use.userId, use.now],
  );
  return rows[0] ?? null;
}

/** Forgets invitations that expired before a moment, or were accepted before it. */
export async function deleteOldInvitations(tx: Tx, before: string, limit: number): Promise<number> {
  const { rowCount } = await tx.query(
    `delete from platform.invitation where id in (
       select id from platform.invitation
        where expires_at < $1::timestamptz or accepted_at < $1::timestamptz limit $2)`,
    [before, limit],
  );
  return rowCount;
}

export interface RoleRow {
  name: string;
  title: string;
  permissions: string[];
  version: number;
  createdAt: string;
  updatedAt: string;
}

const roleColumns = `name, title, permissions, version, created_at as "createdAt",
  updated_at as "updatedAt"`;

/** By name; `after` is the last one of the page before. */
export async function listRoles(
  tx: Tx,
  { limit, after }: { limit: number; after: string | null },
): Promise<RoleRow[]> {
  const { rows } = await tx.query<RoleRow>(
    `select ${roleColumns} from platform.role where ($2::text is null or name > $2)
      order by name limit $1`,
    [limit, after],
  );
  return rows;
}

/** How many roles the tenant has defined. */
export async function countRoles(tx: Tx): Promise<number> {
  const { rows } = await tx.query<{ count: number }>("select count(*) as count from platform.role");
  return rows[0]?.count ?? 0;
}

/** Null for a built-in role too: those are no rows. */
export async function findRole(tx: Tx, name: string): Promise<RoleRow | null> {
  const { rows } = await tx.query<RoleRow>(
    `select ${roleColumns} from platform.role where name = $1`,
    [name],
  );
  return rows[0] ?? null;
}

/** Keeps the role from being deleted while somebody is given it. */
export async function shareRole(tx: Tx, name: string): Promise<RoleRow | null> {
  const { rows } = await tx.query<RoleRow>(
    `select ${roleColumns} from platform.role where name = $1 for share`,
    [name],
  );
  return rows[0] ?? null;
}

/** Locked until the transaction ends. */
export async function lockRole(tx: Tx, name: string): Promise<RoleRow | null> {
  const { rows } = await tx.query<RoleRow>(
    `select ${roleColumns} from platform.role where name = $1 for update`,
    [name],
  );
  return rows[0] ?? null;
}

/** Null when the tenant has a role of that name. */
export async function insertRole(
  tx: Tx,
  row: { name: string; title: string; permissions: readonly string[]; now: string },
): Promise<RoleRow | null> {
  const { rows } = await tx.query<RoleRow>(
    `insert into platform.role (tenant_id, name, title, permissions, created_at, updated_at)
     values ($1, $2, $3, $4, $5::timestamptz, $5::timestamptz)
     on conflict do nothing returning ${roleColumns}`,
    [tx.tenant.id, row.name, row.title, row.permissions, row.now],
  );
  return rows[0] ?? null;
}

/** Lock the row first. */
export async function updateRole(
  tx: Tx,
  change: {
    name: string;
    title?: string | undefined;
    permissions?: readonly string[] | undefined;
    now: string;
  },
): Promise<RoleRow> {
  const { rows } = await tx.query<RoleRow>(
    `update platform.role
        set title = coalesce($2, title), permissions = coalesce($3, permissions),
            version = version + 1, updated_at = $4::timestamptz
      where name = $1 returning ${roleColumns}`,
    [change.name, change.title ?? null, change.permissions ?? null, change.now],
  );
  return rows[0] as RoleRow;
}

/** Lock the row first, and see that nobody has the role. */
export async function deleteRole(tx: Tx, name: string): Promise<void> {
  await tx.query("delete from platform.role where name = $1", [name]);
}

/** Whether a member or an open invitation has the role. */
export async function isRoleInUse(tx: Transaction, name: string, now: string): Promise<boolean> {
  const { rows } = await tx.query<{ used: boolean }>(
    `select exists (select from platform.membership where role = $1)
         or exists (select from platform.invitation
                     where role = $1 and accepted_at is null and expires_at > $2::timestamptz)
         as used`,
    [name, now],
  );
  return rows[0]?.used ?? false;
}
