import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { requestErrors } from "#kernel/errors.ts";
import type { Routes } from "#kernel/service.ts";
import { systemActor } from "#kernel/tenancy/types.ts";
import { receiveMessages } from "../changes/whatsapp.ts";
import { ordersErrors } from "../errors.ts";
import { type WhatsappConfig, whatsappConfigOf } from "../rules/whatsapp-config.ts";
import { readDelivery, type WhatsappMessage } from "../rules/whatsapp-messages.ts";
import { Challenge, Delivery, Handshake, Received } from "../schemas/whatsapp.ts";
import { tenantOfNumber } from "../store/whatsapp.ts";

/** What Meta puts into one request at most. */
const deliveryBytesMost = 3 * 1_048_576;

const config = { public: true, rateLimit: "refusals" } as const;
/** Where WhatsApp is switched off, there is nothing here. */
const off = requestErrors.not_found;

/** What customers write to a shop's WhatsApp number. Without configuration nothing is here. */
export const whatsappRoutes: Routes = (app, deps) => {
  const { db, clock, log } = deps;
  const whatsapp = whatsappConfigOf(deps.config.service);

  app.get(
    "/webhooks/whatsapp",
    {
      schema: {
        summary: "Show Meta that this is the address",
        description: "Answered with 404 unless WhatsApp is configured.",
        querystring: Handshake,
        response: { 200: Challenge },
      },
      config: { ...config, errors: [ordersErrors.whatsapp_wrong_token, off] },
      preValidation: async () => assertOn(whatsapp),
    },
    async ({ query }, reply) => {
      const { verifyToken } = whatsapp as WhatsappConfig;
      if (query["hub.mode"] !== "subscribe" || !isSame(query["hub.verify_token"], verifyToken)) {
        throw ordersErrors.whatsapp_wrong_token({
          detail: "hub.verify_token is not the WHATSAPP_VERIFY_TOKEN of this server.",
        });
      }
      return reply.type("text/plain; charset=utf-8").send(query["hub.challenge"]);
    },
  );

  app.post(
    "/webhooks/whatsapp",
    {
      schema: {
        summary: "Take messages of WhatsApp's customers",
        description:
          "Signed by Meta with `X-Hub-Signature-256`. Messages are kept, and answered by jobs: " +
          "an order becomes a draft, what is not understood is asked back. Each counts once, " +
          "however often it is delivered. Answered with 404 unless WhatsApp is configured.",
        body: Delivery,
        response: { 200: Received },
      },
      config: {
        ...config,
        errors: [ordersErrors.whatsapp_unverified, off],
        bodyLimitBytes: deliveryBytesMost,
      },
      preValidation: async (request) => assertSigned(assertOn(whatsapp), request),
    },
    async (request) => {
      const on = { actor: systemActor("whatsapp"), requestId: request.id };
      const byNumber = Map.groupBy(
        readDelivery(request.body, clock.nowMs()),
        ({ phoneNumberId }: WhatsappMessage) => phoneNumberId,
      );
      let messages = 0;
      for (const [number, received] of byNumber) {
        const tenant = await tenantOfNumber(db, number);
        if (!tenant) log.info({ number, messages: received.length }, "WhatsApp of nobody's number");
        else messages += await db.inTenant(tenant, (tx) => receiveMessages(tx, deps, received), on);
      }
      return { messages };
    },
  );
};

function assertOn(whatsapp: WhatsappConfig | null): WhatsappConfig {
  if (whatsapp) return whatsapp;
  throw off();
}

/** Meta's signature: an HMAC-SHA256 of the body's bytes under the app's secret. */
function assertSigned({ appSecret }: WhatsappConfig, request: FastifyRequest): void {
  const header = request.headers["x-hub-signature-256"];
  const given = /^sha256=([0-9a-f]{64})$/i.exec(typeof header === "string" ? header : "")?.[1];
  const signature = createHmac("sha256", appSecret)
    .update(request.bodyBytes ?? "")
    .digest();
  if (given && timingSafeEqual(Buffer.from(given, "hex"), signature)) return;
  throw ordersErrors.whatsapp_unverified({
    detail: "X-Hub-Signature-256 is missing, or was not made with this app's secret.",
  });
}

/** In a time that says nothing about where two texts differ. */
function isSame(left: string, right: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}
