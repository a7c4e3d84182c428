import { Type } from "typebox";
import type { Tx } from "#kernel/db/types.ts";
import { Id } from "#kernel/http/schemas.ts";
import type { SettingCatalogue } from "#kernel/settings.ts";
import { ordersErrors } from "../errors.ts";
import { claimNumber, releaseNumber } from "../store/whatsapp.ts";

/**
 * What a tenant needs for taking orders over WhatsApp. The number is given by a platform admin:
 * whoever has it gets what its customers write.
 */
export const whatsappSettings: SettingCatalogue = {
  whatsapp_phone_number_id: {
    title: "Meta's id of the WhatsApp number whose messages are the tenant's",
    schema: Type.String({ pattern: "^[0-9]{1,30}$", "x-must": "be up to 30 digits" }),
    platform: true,
    changed: changeNumber,
  },
  whatsapp_shop_id: { title: "The shop that takes orders from WhatsApp", schema: Id },
  whatsapp_access_token: {
    title: "Token with which answers are sent over WhatsApp",
    schema: Type.String({ minLength: 1, maxLength: 1_000 }),
    secret: true,
  },
  phone_country_code: {
    title: "Calling code of the country that telephone numbers are of where none is written",
    schema: Type.String({
      pattern: "^[1-9][0-9]{0,2}$",
      "x-must": 'be a calling code without its +, such as "44"',
    }),
    default: "44",
  },
};

async function changeNumber(tx: Tx, value: unknown): Promise<void> {
  await releaseNumber(tx);
  if (value === null || (await claimNumber(tx, value as string))) return;
  throw ordersErrors.whatsapp_number_taken({
    detail: "A number has one tenant; take it from the other one first.",
    errors: [{ path: "/settings/orders.whatsapp_phone_number_id", message: "is taken" }],
  });
}
