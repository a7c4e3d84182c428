import type { NewCustomer } from "../schemas/customers.ts";
import type { NewShop } from "../schemas/shops.ts";

// All of it is invented: names, addresses and telephone numbers that Ofcom keeps for drama.

/** Where the demo's deli sells. */
export const demoShops = {
  deli: { name: "Example Street Deli", address: "12 Example Street\nSampleton\nSA1 2MP" },
  stall: { name: "Market Square Stall", address: "Pitch 7, Market Square\nSampleton\nSA1 3MP" },
} satisfies Record<string, NewShop>;

/** Who has ordered before. */
export const demoCustomers = {
  office: {
    name: "Example Office",
    email: "kitchen@office.example",
    phone: "020 7946 0101",
    notes: "Reception, second floor. Orders lunch for the team on most days",
  },
  sam: {
    name: "Sam Sample",
    email: "sam.sample@example.com",
    phone: "07700 900111",
    allergenRestrictions: ["peanuts", "nuts"],
    notes: "Severe nut allergy: carries a pen",
  },
  robin: {
    name: "Robin Placeholder",
    email: "robin.placeholder@example.com",
    phone: "07700 900122",
    allergenRestrictions: ["milk"],
  },
  alex: { name: "Alex Example", email: "alex.example@example.com", phone: "07700 900133" },
  jo: { name: "Jo Demo", phone: "07700 900144", notes: "Collects on Fridays" },
} satisfies Record<string, NewCustomer>;
