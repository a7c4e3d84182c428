import { Type } from "typebox";
import {
  changesOf,
  exampleId,
  Id,
  ListQuery,
  newOf,
  pageOf,
  stamps,
  strict,
  text,
  Timestamp,
} from "#kernel/http/schemas.ts";

const Url = Type.String({
  format: "uri",
  maxLength: 2_000,
  description: "http or https; not on a private network.",
  examples: ["https://example.com/hooks/plimsoll"],
});
const Types = Type.Array(Type.String({ maxLength: 100 }), {
  minItems: 1,
  maxItems: 50,
  uniqueItems: true,
  description: 'Event types, all of a kind ("order.*") or all ("*").',
  examples: [["*"]],
});
const Description = text(500, "For people.", "Our warehouse");
const Maybe = <Schema extends ReturnType<typeof Type.String>>(schema: Schema) =>
  Type.Union([schema, Type.Null()]);

const members = {
  url: Url,
  events: Types,
  description: Description,
  active: Type.Boolean({ examples: [true] }),
};

export const NewWebhook = newOf(members, ["url", "events"], { title: "NewWebhook" });

export const WebhookChanges = changesOf(members, { title: "WebhookChanges" });

const webhook = {
  id: Id,
  ...members,
  disabledReason: Type.Union([Type.Enum(["gone", "failing"]), Type.Null()], {
    description: "Why it was switched off by itself: it answered 410, or failed for five days.",
    examples: [null],
  }),
  oldSecretUntil: Maybe(Timestamp),
  failingSince: Maybe(Timestamp),
  ...stamps,
};

export const Webhook = strict(
  {
    ...webhook,
    secret: Type.String({ description: "Its last four characters.", examples: ["…k3Y="] }),
  },
  { title: "Webhook" },
);

export const WebhookWithSecret = strict(
  {
    ...webhook,
    secret: Type.String({
      description: "Signs every message (Standard Webhooks). Shown this once.",
      examples: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="],
    }),
  },
  { title: "WebhookWithSecret" },
);

export const WebhookPage = pageOf(Webhook, { title: "WebhookPage" });

export const SecretRotation = strict(
  {
    overlapHours: Type.Integer({
      minimum: 0,
      maximum: 168,
      default: 24,
      description: "For how long the old secret signs too.",
      examples: [24],
    }),
  },
  { title: "SecretRotation" },
);

export const ReplayRange = strict({ from: Timestamp, to: Timestamp }, { title: "ReplayRange" });

export const Replayed = strict(
  {
    replayed: Type.Integer({ minimum: 0, maximum: 1_000, examples: [12] }),
    until: Maybe(Timestamp),
    more: Type.Boolean({
      description: "Whether there are others after `until`; ask again from it.",
    }),
  },
  { title: "Replayed" },
);

const State = Type.Enum(["pending", "delivered", "failed"], { examples: ["delivered"] });

export const DeliveryQuery = strict({ ...ListQuery.properties, state: Type.Optional(State) });

export const ByDelivery = strict({ id: Id, deliveryId: Id });

const delivery = {
  id: Id,
  endpointId: Id,
  event: strict({ id: Id, type: Type.String({ examples: ["order.created"] }) }),
  resource: strict({
    type: Type.String({ examples: ["order"] }),
    id: Type.String({ examples: [exampleId] }),
  }),
  position: Type.Integer({ minimum: 1 }),
  state: State,
  attempts: Type.Integer({ minimum: 0, examples: [1] }),
  nextAttemptAt: Maybe(Timestamp),
  createdAt: Timestamp,
  finishedAt: Maybe(Timestamp),
  lastStatus: Type.Union([Type.Integer(), Type.Null()], { examples: [200] }),
  lastError: Type.Union([Type.String(), Type.Null()], { examples: [null] }),
};

export const Delivery = strict(delivery, { title: "WebhookDelivery" });

export const DeliveryPage = pageOf(Delivery, { title: "WebhookDeliveryPage" });

const Attempt = strict(
  {
    id: Id,
    at: Timestamp,
    status: Type.Union([Type.Integer(), Type.Null()], { examples: [200] }),
    latencyMs: Type.Integer({ minimum: 0, examples: [84] }),
    error: Type.Union([Type.String(), Type.Null()], { examples: [null] }),
    responseExcerpt: Maybe(
      Type.String({ description: "The first 1024 characters.", examples: ["ok"] }),
    ),
  },
  { title: "WebhookAttempt" },
);

export const DeliveryWithAttempts = strict(
  { ...delivery, log: Type.Array(Attempt, { maxItems: 50, description: "Newest first." }) },
  { title: "WebhookDeliveryWithAttempts" },
);
