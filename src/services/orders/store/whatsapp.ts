import type { Db, Tx } from "#kernel/db/types.ts";
import { readTenantRef } from "#kernel/tenancy/store.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { phoneCore, phoneForms, type PhoneMatch } from "../rules/phones.ts";
import type { WhatsappContent, WhatsappMessage } from "../rules/whatsapp-messages.ts";
import type { Offered } from "../rules/whatsapp-text.ts";

export interface StoredMessage {
  messageId: string;
  sender: string;
  senderName: string | null;
  content: WhatsappContent;
  /** Null until it is handled. */
  reply: string | null;
  repliedAt: string | null;
}

/** How many products a text is compared with: those that were added last. */
const offeredMost = 2_000;

// The two below look at pointers, before there is a tenant, or from a transaction over the kernel's
// tables; so they name the schema.

/** The tenant whose number it is; null for a number, or a tenant, that is not served. */
export async function tenantOfNumber(db: Db, phoneNumberId: string): Promise<TenantRef | null> {
  const id = await db.inPlatform(async (tx) => {
    const { rows } = await tx.query<{ id: string }>(
      `select of_tenant as id from orders.whatsapp_number where phone_number_id = $1`,
      [phoneNumberId],
    );
    return rows[0]?.id ?? null;
  });
  return id === null ? null : readTenantRef(db, id);
}

/** Gives the tenant the number; false where another tenant, that still exists, has it. */
export async function claimNumber(tx: Tx, phoneNumberId: string): Promise<boolean> {
  const { rowCount } = await tx.query(
    `insert into orders.whatsapp_number as n (phone_number_id, of_tenant) values ($1, $2)
     on conflict (phone_number_id) do update set of_tenant = excluded.of_tenant
      where not exists (
        select from platform.tenant t where t.id = n.of_tenant and t.deleted_at is null)`,
    [phoneNumberId, tx.tenant.id],
  );
  return rowCount > 0;
}

/** The tenant has no number any more. */
export async function releaseNumber(tx: Tx): Promise<void> {
  await tx.query("delete from orders.whatsapp_number where of_tenant = $1", [tx.tenant.id]);
}

/** Keeps those that are not there yet; answers their ids. */
export async function insertMessages(
  tx: Tx,
  messages: readonly WhatsappMessage[],
  now: string,
): Promise<string[]> {
  const { rows } = await tx.query<{ id: string }>(
    `insert into whatsapp_message (tenant_id, message_id, sender, sender_name, content, received_at)
     select $1, id, sender, "senderName", content, $3
       from jsonb_to_recordset($2::jsonb)
         as m (id text, sender text, "senderName" text, content jsonb)
     on conflict (tenant_id, message_id) do nothing
     returning message_id as id`,
    [tx.tenant.id, JSON.stringify(messages), now],
  );
  return rows.map(({ id }) => id);
}

/** The message as it stays until the transaction ends; null when it is gone. */
export async function lockMessage(tx: Tx, messageId: string): Promise<StoredMessage | null> {
  const { rows } = await tx.query<StoredMessage>(
    `select message_id as "messageId", sender, sender_name as "senderName", content, reply,
            replied_at as "repliedAt"
       from whatsapp_message where message_id = $1 for update`,
    [messageId],
  );
  return rows[0] ?? null;
}

/** What became of a message. */
export async function markHandled(
  tx: Tx,
  messageId: string,
  { orderId, reply, now }: { orderId: string | null; reply: string; now: string },
): Promise<void> {
  await tx.query(
    `update whatsapp_message set handled_at = $4, order_id = $2, reply = $3 where message_id = $1`,
    [messageId, orderId, reply, now],
  );
}

/** That the customer has the answer. */
export async function markReplied(tx: Tx, messageId: string, now: string): Promise<void> {
  await tx.query("update whatsapp_message set replied_at = $2 where message_id = $1", [
    messageId,
    now,
  ]);
}

/** Forgets messages from before `before`, `limit` at a time; how many. */
export async function forgetMessages(tx: Tx, before: string, limit = 1_000): Promise<number> {
  const { rowCount } = await tx.query(
    `delete from whatsapp_message where message_id in (
       select message_id from whatsapp_message
        where received_at < $1 order by received_at limit $2 for update skip locked)`,
    [before, limit],
  );
  return rowCount;
}

/** Active products: those with one of the SKUs, or the newest. */
export async function listOffered(tx: Tx, skus: readonly string[] | null): Promise<Offered[]> {
  const { rows } = await tx.query<Offered>(
    `select id, sku, title from product
      where active and ($1::text[] is null or sku = any($1))
      order by id desc limit $2`,
    [skus, offeredMost],
  );
  return rows;
}

const matchesMost = 6;

/**
 * The customers who have this number, or may have it, however it was typed. Of two messages of one
 * unknown sender the second waits for the first, and finds the customer that was made of it.
 */
export async function findCustomersByPhone(
  tx: Tx,
  { phone, country }: { phone: string; country: string },
): Promise<PhoneMatch[]> {
  const name = JSON.stringify(["orders.customer_phone", tx.tenant.id, phone]);
  const [, found] = await tx.batch([
    { text: "select pg_advisory_xact_lock(hashtextextended($1, 0))", values: [name] },
    {
      text: `select id, name, active, phone_digits <> '?' as "isPlain",
                    allergen_restrictions as "allergenRestrictions"
               from customer
              where phone_digits = any($1) or phone_digits = '?'
                and strpos(regexp_replace(phone, '[^0-9]', '', 'g'), $2) > 0
              order by active desc, id limit $3`,
      values: [phoneForms(phone, country), phoneCore(phone, country), matchesMost],
    },
  ]);
  return (found?.rows ?? []) as unknown as PhoneMatch[];
}
