import { type Clock, isoNow } from "#kernel/clock.ts";
import type { Tx } from "#kernel/db/types.ts";
import { Problem } from "#kernel/errors.ts";
import { addJob } from "#kernel/jobs/add-job.ts";
import type { Random } from "#kernel/random.ts";
import type { Settings } from "#kernel/settings.ts";
import { currencyExponents } from "../rules/money.ts";
import { writerAmong } from "../rules/phones.ts";
import type { KnownShop } from "../rules/references.ts";
import type { PickedItem, WhatsappContent, WhatsappMessage } from "../rules/whatsapp-messages.ts";
import {
  closedReply,
  helpReply,
  type NewPrice,
  orderReply,
  refusedReply,
  unknownReply,
} from "../rules/whatsapp-replies.ts";
import {
  type Offered,
  type Understood,
  understandPicked,
  understandText,
} from "../rules/whatsapp-text.ts";
import { selectShop } from "../store/lookups.ts";
import type { StoredOrder } from "../store/orders.ts";
import {
  findCustomersByPhone,
  insertMessages,
  listOffered,
  lockMessage,
  markHandled,
  type StoredMessage,
} from "../store/whatsapp.ts";
import { createCustomer } from "./customers.ts";
import { createOrder } from "./orders.ts";

/** The task that answers a message. */
export const answerTask = "orders.answer_whatsapp";

/** Keeps messages that are new, with a job for each; how many were. */
export async function receiveMessages(
  tx: Tx,
  { clock }: { clock: Clock },
  messages: readonly WhatsappMessage[],
): Promise<number> {
  const ids = await insertMessages(tx, messages, isoNow(clock));
  for (const messageId of ids) addJob(tx, answerTask, { messageId });
  return ids.length;
}

interface Deps {
  clock: Clock;
  random: Random;
  settings: Settings;
}

/**
 * Makes a draft order of a message, or finds out what to ask back, once; the message as it is then.
 * Null when it has been forgotten. Throws what refuses the order: see `refuseMessage`.
 */
export async function answerMessage(
  tx: Tx,
  deps: Deps,
  messageId: string,
): Promise<StoredMessage | null> {
  const message = await lockMessage(tx, messageId);
  if (!message || message.reply !== null) return message;
  const { reply, orderId } = await answerTo(tx, deps, message);
  await markHandled(tx, messageId, { orderId, reply, now: isoNow(deps.clock) });
  return { ...message, reply };
}

interface Answer {
  reply: string;
  orderId: string | null;
}

async function answerTo(tx: Tx, deps: Deps, message: StoredMessage): Promise<Answer> {
  const shopId = await deps.settings.get<string>(tx, "orders.whatsapp_shop_id");
  const [found] = shopId === null ? [] : await tx.batch([selectShop(shopId)]);
  const shop = found?.rows[0] as KnownShop | undefined;
  if (!shop?.active) return { reply: closedReply(), orderId: null };
  const { content } = message;
  if (content.kind === "other") return { reply: helpReply(), orderId: null };
  const understood = await understand(tx, content);
  if (!understood.isOrder) return { reply: helpReply(), orderId: null };
  if (understood.unknown.length > 0 || understood.isTooLong) {
    return { reply: unknownReply(understood), orderId: null };
  }
  const order = await takeOrder(tx, deps, { shopId: shop.id, message, understood });
  const newPrices = content.kind === "order" ? newPricesOf(order, understood, content.items) : [];
  return { reply: orderReply(order, { shopName: shop.name, newPrices }), orderId: order.id };
}

/**
 * Answers a message whose order was refused by `why`, in a transaction of its own: nothing that was
 * written on the way to the refusal stays. Throws `why` where it says nothing about the order.
 */
export async function refuseMessage(
  tx: Tx,
  { clock }: Pick<Deps, "clock">,
  messageId: string,
  why: unknown,
): Promise<StoredMessage | null> {
  if (!(why instanceof Problem) || why.status >= 500) throw why;
  const message = await lockMessage(tx, messageId);
  if (!message || message.reply !== null) return message;
  const reply = refusedReply(why.message);
  await markHandled(tx, messageId, { orderId: null, reply, now: isoNow(clock) });
  return { ...message, reply };
}

async function understand(
  tx: Tx,
  content: Exclude<WhatsappContent, { kind: "other" }>,
): Promise<Understood> {
  if (content.kind === "text") return understandText(content.text, await listOffered(tx, null));
  const wanted = content.items.map(({ sku, quantity }) => ({ name: sku, quantity }));
  const picked = await listOffered(
    tx,
    wanted.map(({ name }) => name),
  );
  const understood = understandPicked(wanted, picked);
  if (understood.unknown.length === 0) return understood;
  // Only to say what is like it.
  const others = (await listOffered(tx, null)).filter(({ id }) => !has(picked, id));
  return understandPicked(wanted, [...picked, ...others]);
}

const has = (products: readonly Offered[], id: string) => products.some((one) => one.id === id);

async function takeOrder(
  tx: Tx,
  { random, settings }: Deps,
  order: { shopId: string; message: StoredMessage; understood: Understood },
): Promise<StoredOrder> {
  const { message, shopId, understood } = order;
  const { sender: phone, senderName, content } = message;
  const country = (await settings.get<string>(tx, "orders.phone_country_code")) ?? "";
  const writer = writerAmong(await findCustomersByPhone(tx, { phone, country }));
  const items = understood.lines.map(({ product, quantity }) => ({
    productId: product.id,
    quantity,
  }));
  if (writer.kind === "unclear") {
    const notes = notesOf(content, writer.note);
    const contact = { customerName: senderName, customerPhone: phone };
    return createOrder(tx, { random }, { shopId, ...contact, items, notes });
  }
  const written = { name: senderName ?? phone, phone };
  const customerId =
    writer.kind === "known"
      ? writer.customerId
      : (await createCustomer(tx, random.id(), written)).id;
  return createOrder(tx, { random }, { shopId, customerId, items, notes: notesOf(content) });
}

const notesCharsMost = 2_000;

/** What the customer wrote, below what is `first` to be read by whoever confirms the order. */
function notesOf(content: WhatsappContent, first = ""): string {
  const said =
    content.kind === "text" ? content.text : content.kind === "order" ? content.note : "";
  const notes = [first, said].filter((text) => text !== "").join("\n\n");
  return notes.slice(0, notesCharsMost).toWellFormed();
}

/** What costs something else than the catalogue said. */
function newPricesOf(
  order: StoredOrder,
  { lines }: Understood,
  picked: readonly PickedItem[],
): NewPrice[] {
  const minorUnits = 10 ** (currencyExponents.get(order.currency) ?? 2);
  return order.items.flatMap(({ productId, title, unitPriceMinor }) => {
    const sku = lines.find(({ product }) => product.id === productId)?.product.sku;
    const shown = picked.find((item) => item.sku === sku);
    if (!shown || shown.price === null) return [];
    const isSame =
      Math.round(shown.price * minorUnits) === unitPriceMinor &&
      (shown.currency ?? order.currency) === order.currency;
    return isSame ? [] : [{ title, unitPriceMinor }];
  });
}
