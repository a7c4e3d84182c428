/** How many messages of one delivery are looked at; Meta puts up to 1,000 changes into one. */
export const deliveredMessagesMost = 1_000;
/** Meta delivers again for up to seven days; what is older was recorded and is played back. */
export const messageAgeMostDays = 8;

const textCharsMost = 4_096;
const orderItemsMost = 100;
const nameCharsMost = 200;
const skuCharsMost = 100;
const dayMs = 86_400_000;

/** One product that a customer has picked from the catalogue; the price is what they were shown. */
export interface PickedItem {
  sku: string;
  quantity: number;
  /** In major units, as Meta sends it. */
  price: number | null;
  currency: string | null;
}

export type WhatsappContent =
  | { kind: "order"; items: PickedItem[]; note: string }
  | { kind: "text"; text: string }
  /** A picture, a voice message, a place: something that wants an answer and is no order. */
  | { kind: "other" };

/** A customer's message, as far as it matters here. */
export interface WhatsappMessage {
  /** Meta's name for the shop's number. */
  phoneNumberId: string;
  /** The same at every delivery. */
  id: string;
  /** E.164, with the plus sign. */
  sender: string;
  senderName: string | null;
  content: WhatsappContent;
}

type Members = Record<string, unknown>;

/**
 * The messages of a delivery of the WhatsApp Cloud API. Statuses, reactions, messages that are too
 * old, and whatever does not look as documented are left out: Meta adds to its format as it likes
 * and repeats for days what it is refused.
 */
export function readDelivery(payload: unknown, nowMs: number): WhatsappMessage[] {
  const found: WhatsappMessage[] = [];
  for (const entry of listOf(membersOf(payload).entry)) {
    for (const change of listOf(membersOf(entry).changes)) {
      const { field, value } = membersOf(change);
      if (field !== "messages") continue;
      for (const message of listOf(membersOf(value).messages)) {
        const read = readMessage(membersOf(value), membersOf(message), nowMs);
        if (read && found.length < deliveredMessagesMost) found.push(read);
      }
    }
  }
  return found;
}

function readMessage(value: Members, message: Members, nowMs: number): WhatsappMessage | null {
  const phoneNumberId = membersOf(value.metadata).phone_number_id;
  const { id, from, timestamp } = message;
  if (typeof phoneNumberId !== "string" || !/^\d{1,30}$/.test(phoneNumberId)) return null;
  if (typeof id !== "string" || !/^[\x21-\x7e]{1,200}$/.test(id)) return null;
  if (typeof from !== "string" || !/^[1-9]\d{6,14}$/.test(from)) return null;
  const sentMs = Number(timestamp) * 1_000;
  if (!(sentMs > nowMs - messageAgeMostDays * dayMs)) return null;
  const content = readContent(message);
  if (!content) return null;
  const sender = `+${from}`;
  return { phoneNumberId, id, sender, senderName: nameOf(value, from), content };
}

const wantAnswer = /^(image|audio|video|voice|document|sticker|location|contacts|interactive)$/;

function readContent(message: Members): WhatsappContent | null {
  const { type } = message;
  if (type === "text") {
    const { body } = membersOf(message.text);
    return typeof body === "string" ? { kind: "text", text: storable(body, textCharsMost) } : null;
  }
  if (type === "order") {
    const { product_items: picked, text } = membersOf(message.order);
    const items = listOf(picked)
      .slice(0, orderItemsMost + 1)
      .map(readItem);
    if (items.length === 0 || items.includes(null)) return { kind: "other" };
    const note = typeof text === "string" ? storable(text, textCharsMost) : "";
    return { kind: "order", items: items as PickedItem[], note };
  }
  return typeof type === "string" && wantAnswer.test(type) ? { kind: "other" } : null;
}

function readItem(item: unknown): PickedItem | null {
  const { product_retailer_id: sku, quantity, item_price: price, currency } = membersOf(item);
  if (typeof sku !== "string" || sku === "" || !Number.isInteger(Number(quantity))) return null;
  const shown = Number(price);
  return {
    sku: storable(sku, skuCharsMost),
    quantity: Number(quantity),
    price: price !== undefined && Number.isFinite(shown) ? shown : null,
    currency: typeof currency === "string" && /^[A-Z]{3}$/.test(currency) ? currency : null,
  };
}

function nameOf(value: Members, from: string): string | null {
  const contact = listOf(value.contacts)
    .map(membersOf)
    .find(({ wa_id: id }) => id === from);
  const { name } = membersOf(contact?.profile);
  const line = typeof name === "string" ? oneLineOf(name) : "";
  return line === "" ? null : line;
}

/** A name as the rest of the house stores one: a line, without blanks around it. */
function oneLineOf(text: string): string {
  const line = storable(text.replace(/[\s\p{Cc}\p{Cf}]+/gu, " ").trim(), nameCharsMost);
  return line.trim();
}

/** What PostgreSQL can hold of a text, cut to so many characters. */
function storable(text: string, charsMost: number): string {
  return text.slice(0, charsMost).toWellFormed().replaceAll("\0", "");
}

function membersOf(value: unknown): Members {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Members)
    : {};
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
