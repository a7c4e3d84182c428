import { Type } from "typebox";
import { strict } from "#kernel/http/schemas.ts";

const challengeCharsMost = 200;

// Open objects, unlike everywhere else: Meta adds members as it likes.

export const Handshake = Type.Object({
  "hub.mode": Type.String({ maxLength: 40, examples: ["subscribe"] }),
  "hub.verify_token": Type.String({ maxLength: 1_000, examples: ["the token that was agreed on"] }),
  "hub.challenge": Type.String({
    pattern: `^[\\w.-]{1,${challengeCharsMost}}$`,
    "x-must": "be letters, digits, dots, hyphens and underscores",
    examples: ["1158201444"],
  }),
});

export const Challenge = Type.String({
  description: "`hub.challenge`.",
  examples: ["1158201444"],
});

export const Delivery = Type.Object(
  {
    object: Type.String({ maxLength: 100, examples: ["whatsapp_business_account"] }),
    entry: Type.Array(Type.Unknown(), { description: "As the Cloud API documents it." }),
  },
  {
    title: "WhatsappDelivery",
    examples: [
      {
        object: "whatsapp_business_account",
        entry: [
          {
            id: "102290129340398",
            changes: [
              {
                field: "messages",
                value: {
                  messaging_product: "whatsapp",
                  metadata: {
                    display_phone_number: "442079460018",
                    phone_number_id: "106540352242922",
                  },
                  contacts: [{ profile: { name: "Ada Lovelace" }, wa_id: "447700900123" }],
                  messages: [
                    {
                      from: "447700900123",
                      id: "wamid.HBgLNDQ3NzAwOTAwMTIz",
                      timestamp: "1795176000",
                      type: "text",
                      text: { body: "2 x brie baguette, 1 flat white" },
                    },
                  ],
                },
              },
            ],
          },
        ],
      },
    ],
  },
);

export const Received = strict(
  { messages: Type.Integer({ minimum: 0, description: "Those that are new.", examples: [1] }) },
  { title: "WhatsappReceived" },
);
