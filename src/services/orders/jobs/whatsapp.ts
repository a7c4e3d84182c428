import { isoNow, isoOf } from "#kernel/clock.ts";
import { requestErrors } from "#kernel/errors.ts";
import type { JobCatalogue, TenantJobContext } from "#kernel/jobs/types.ts";
import type { KernelDeps } from "#kernel/service.ts";
import { createTenants } from "#kernel/tenancy/tenants.ts";
import { answerMessage, answerTask, refuseMessage } from "../changes/whatsapp.ts";
import { whatsappConfigOf } from "../rules/whatsapp-config.ts";
import { forgetMessages, markReplied } from "../store/whatsapp.ts";

const minute = 60_000;
const day = 24 * 60 * minute;

/** Longer than Meta repeats a message, and than one is taken after it was sent. */
const messagesKeptDays = 30;
const replyTimeoutMs = 10_000;
const replyBytesMost = 65_536;

export const whatsappJobs: JobCatalogue<KernelDeps> = {
  tasks: {
    [answerTask]: {
      title: "Make an order of a WhatsApp message, and answer it",
      timeoutMs: minute,
      async run({ messageId }, context) {
        const { deps, tenant, actor, requestId, log } = context;
        const { db, settings, clock } = deps;
        const on = { actor, requestId };
        const message = await db
          .inTenant(tenant, (tx) => answerMessage(tx, deps, messageId as string), on)
          .catch((why: unknown) =>
            db.inTenant(tenant, (tx) => refuseMessage(tx, deps, messageId as string, why), on),
          );
        if (!message || message.reply === null || message.repliedAt !== null) return;
        const { numberId, token } = await db.inTenant(tenant, async (tx) => ({
          numberId: await settings.get<string>(tx, "orders.whatsapp_phone_number_id"),
          token: await settings.secret(tx, "orders.whatsapp_access_token"),
        }));
        if (numberId === null || token === null) {
          log.warn("a WhatsApp message can't be answered: the tenant has no number or no token");
          return;
        }
        const { sender: to, reply } = message;
        await sendReply(context, { numberId, token, to, reply, messageId: messageId as string });
        await db.inTenant(tenant, (tx) => markReplied(tx, message.messageId, isoNow(clock)));
      },
    },
    "orders.forget_whatsapp": {
      title: `Forget WhatsApp messages after ${messagesKeptDays} days`,
      scope: "platform",
      timeoutMs: 30 * minute,
      async run(_payload, { deps: { db, clock }, signal }) {
        const before = isoOf(clock.nowMs() - messagesKeptDays * day);
        for await (const tenant of createTenants({ db, clock }).each()) {
          signal.throwIfAborted();
          await db.inTenant(tenant, (tx) => forgetMessages(tx, before));
        }
      },
    },
  },
  cron: [{ task: "orders.forget_whatsapp", every: "37 * * * *" }],
};

interface Reply {
  numberId: string;
  token: string;
  to: string;
  reply: string;
  messageId: string;
}

/**
 * Sends a text by the Cloud API. What is not taken is thrown, so that the job tries again: WhatsApp
 * has no way to send a message at most once.
 */
async function sendReply(
  { deps: { config, outgoing }, tenant, signal }: TenantJobContext<KernelDeps>,
  { numberId, token, to, reply, messageId }: Reply,
): Promise<void> {
  const whatsapp = whatsappConfigOf(config.service);
  if (!whatsapp) throw requestErrors.unavailable({ detail: "WhatsApp is switched off." });
  const body = JSON.stringify({
    messaging_product: "whatsapp",
    recipient_type: "individual",
    to: to.slice(1),
    context: { message_id: messageId },
    type: "text",
    text: { preview_url: false, body: reply },
  });
  const answer = await outgoing.fetch(`${whatsapp.graphUrl}/${numberId}/messages`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body,
    tenantId: tenant.id,
    maxBytes: replyBytesMost,
    timeoutMs: replyTimeoutMs,
    maxRedirects: 0,
    signal,
  });
  const text = await answer.text();
  if (!answer.ok) throw notTaken(answer.status, text);
}

const errorCharsMost = 300;

function notTaken(status: number, text: string): Error {
  return new Error(`WhatsApp answered ${status}: ${text.slice(0, errorCharsMost)}`);
}
