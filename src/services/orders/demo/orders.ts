import type { OrderState } from "../rules/orders.ts";
import type { demoCustomers, demoShops } from "./people.ts";

/** An order of the demo, and how far it has got. */
export interface DemoOrder {
  /** How long before the demo is made it was taken. */
  hoursAgo: number;
  shop: keyof typeof demoShops;
  customer?: keyof typeof demoCustomers;
  /** Of somebody who is not written down. */
  name?: string;
  /** Quantities by SKU. */
  items: Readonly<Record<string, number>>;
  state: OrderState;
  notes?: string;
  /** Of a cancelled one: out of which state, and why. */
  from?: "pending" | "confirmed";
  reason?: string;
  /** Submitted in spite of a warning. */
  acknowledgeAllergens?: true;
}

/** Six days of a small deli, oldest first. */
export const demoOrders: readonly DemoOrder[] = [
  {
    hoursAgo: 143,
    shop: "deli",
    customer: "office",
    items: { "SAN-HAM-CHED": 3, "SLD-HUMMUS": 2, "DRK-APPLE-250": 5 },
    state: "completed",
  },
  {
    hoursAgo: 142,
    shop: "deli",
    name: "Walk-in",
    items: { "ROL-PORK-HOT": 1, "DRK-TEA": 1 },
    state: "completed",
  },
  {
    hoursAgo: 140,
    shop: "stall",
    customer: "jo",
    items: { "BRD-SOURDOUGH": 1, "CHS-CHED-200": 1 },
    state: "completed",
  },
  {
    hoursAgo: 119,
    shop: "deli",
    customer: "alex",
    items: { "PIE-STEAK-HOT": 2, "DRK-CIDER-500": 2 },
    state: "completed",
  },
  {
    hoursAgo: 118,
    shop: "deli",
    customer: "sam",
    items: { "SOUP-CELERIAC": 1, "DRK-FLATWHITE": 1 },
    state: "completed",
    notes: "Clean board and knife, please: nut allergy",
  },
  {
    hoursAgo: 117,
    shop: "stall",
    name: "Walk-in",
    items: { "EGG-SCOTCH": 2, "CRI-SALT-40": 2 },
    state: "completed",
  },
  {
    hoursAgo: 116,
    shop: "stall",
    name: "Walk-in",
    items: { "BOX-SALMON": 1 },
    state: "cancelled",
    from: "pending",
    reason: "Went on without waiting",
  },
  {
    hoursAgo: 95,
    shop: "deli",
    customer: "office",
    items: { "SAN-EGG-CRESS": 4, "SAN-PRAWN": 2, "CAK-ALMOND": 3, "DRK-APPLE-250": 6 },
    state: "completed",
  },
  {
    hoursAgo: 94,
    shop: "deli",
    customer: "robin",
    items: { "ROL-VEGAN": 2, "DRK-TEA": 2 },
    state: "completed",
  },
  {
    hoursAgo: 93,
    shop: "stall",
    name: "Walk-in",
    items: { "SLD-SEAFOOD": 1, "DRK-CIDER-500": 1 },
    state: "completed",
  },
  {
    hoursAgo: 71,
    shop: "deli",
    customer: "alex",
    items: { "BAG-TUNA": 1, "BIS-PEANUT": 2, "DRK-FLATWHITE": 1 },
    state: "completed",
  },
  {
    hoursAgo: 70,
    shop: "deli",
    customer: "office",
    items: { "BOX-SALMON": 2, "CRK-LUPIN": 2 },
    state: "cancelled",
    from: "confirmed",
    reason: "The meeting was called off",
  },
  {
    hoursAgo: 69,
    shop: "stall",
    customer: "jo",
    items: { "CHS-CHED-200": 2, "CRK-LUPIN": 1, "DRK-CIDER-500": 3 },
    state: "completed",
  },
  {
    hoursAgo: 47,
    shop: "deli",
    customer: "robin",
    items: { "DRK-FLATWHITE": 1, "ROL-VEGAN": 1 },
    state: "completed",
    acknowledgeAllergens: true,
    notes: "With the oat drink that Robin brings along",
  },
  {
    hoursAgo: 46,
    shop: "deli",
    name: "Walk-in",
    items: { "PIE-STEAK-HOT": 1, "DRK-APPLE-250": 1 },
    state: "completed",
  },
  {
    hoursAgo: 45,
    shop: "stall",
    name: "Walk-in",
    items: { "SAN-HAM-CHED": 2, "CRI-SALT-40": 2 },
    state: "completed",
  },
  {
    hoursAgo: 23,
    shop: "deli",
    customer: "office",
    items: { "SAN-HAM-CHED": 4, "BAG-TUNA": 3, "SLD-HUMMUS": 3, "CAK-ALMOND": 4 },
    state: "completed",
  },
  {
    hoursAgo: 22,
    shop: "stall",
    customer: "jo",
    items: { "BRD-SOURDOUGH": 2, "BOX-SALMON": 1 },
    state: "completed",
  },
  {
    hoursAgo: 3,
    shop: "deli",
    customer: "alex",
    items: { "SOUP-CELERIAC": 2, "BRD-SOURDOUGH": 1 },
    state: "completed",
  },
  {
    hoursAgo: 1.5,
    shop: "stall",
    name: "Walk-in",
    items: { "ROL-PORK-HOT": 3, "DRK-TEA": 3 },
    state: "ready",
  },
  {
    hoursAgo: 1.2,
    shop: "deli",
    customer: "sam",
    items: { "SLD-HUMMUS": 1, "DRK-APPLE-250": 1 },
    state: "ready",
    notes: "Clean board and knife, please: nut allergy",
  },
  {
    hoursAgo: 1,
    shop: "deli",
    name: "Walk-in",
    items: { "PIE-STEAK-HOT": 1, "CRI-SALT-40": 1 },
    state: "preparing",
  },
  {
    hoursAgo: 0.9,
    shop: "deli",
    customer: "office",
    items: { "SAN-PRAWN": 3, "SAN-EGG-CRESS": 3, "BIS-PEANUT": 6 },
    state: "confirmed",
    notes: "For 12:30, at reception",
  },
  {
    hoursAgo: 0.8,
    shop: "deli",
    customer: "robin",
    items: { "ROL-VEGAN": 1, "SLD-HUMMUS": 1 },
    state: "pending",
  },
  {
    hoursAgo: 0.7,
    shop: "stall",
    name: "Walk-in",
    items: { "EGG-SCOTCH": 1, "DRK-CIDER-500": 1 },
    state: "pending",
  },
  {
    hoursAgo: 0.6,
    shop: "deli",
    customer: "sam",
    items: { "CAK-ALMOND": 1, "BIS-PEANUT": 1, "DRK-TEA": 1 },
    state: "draft",
    notes: "Submitting it is refused: Sam must not eat nuts",
  },
  {
    hoursAgo: 0.5,
    shop: "stall",
    customer: "alex",
    items: { "CHS-CHED-200": 1, "CRK-LUPIN": 1 },
    state: "draft",
  },
];
