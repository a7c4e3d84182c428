import { type Static, Type } from "typebox";
import {
  changesOf,
  Id,
  ListQuery,
  line,
  newOf,
  pageOf,
  stamps,
  strict,
  text,
} from "#kernel/http/schemas.ts";
import { allergenList, knownAllergenList, ListFilter, orNull } from "./common.ts";

/** An e-mail address; `ada@` and blanks are refused. */
export const emailAddress = (description: string) =>
  Type.String({
    format: "email",
    minLength: 3,
    maxLength: 254,
    description,
    examples: ["ada@example.com"],
  });

/** A telephone number, as people write it. */
export const phoneNumber = (description: string) => line(40, description, "+44 20 7946 0018");

const customerMembers = {
  name: line(200, "Several customers may have the same.", "Ada Lovelace"),
  email: orNull(emailAddress("Unique in the tenant, whatever the case. Null unless given.")),
  phone: orNull(phoneNumber("Null unless given.")),
  allergenRestrictions: allergenList(
    "What the customer must not eat: submitting an order that holds it needs " +
      "acknowledgeAllergens. None unless given.",
  ),
  notes: text(2000, "Empty unless given.", "Collects on Fridays"),
  active: Type.Boolean({
    description: "False retires the customer: no further order can name it. True unless given.",
    examples: [true],
  }),
};

export const Customer = strict(
  {
    id: Id,
    ...customerMembers,
    allergenRestrictions: knownAllergenList("In the order of the law's list."),
    ...stamps,
  },
  { title: "Customer" },
);
export type Customer = Static<typeof Customer>;

export const CustomerPage = pageOf(Customer, { title: "CustomerPage" });

/** Newest first; `q` looks into names, addresses and phone numbers. */
export const CustomerFilter = strict({
  ...ListQuery.properties,
  q: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 100,
      description: "Part of the name, e-mail address or phone number, in upper or lower case.",
      examples: ["lovelace"],
    }),
  ),
  active: ListFilter.properties.active,
});

export const NewCustomer = newOf(customerMembers, ["name"], { title: "NewCustomer" });
export type NewCustomer = Static<typeof NewCustomer>;

export const CustomerChanges = changesOf(customerMembers, {
  title: "CustomerChanges",
  examples: [{ allergenRestrictions: ["nuts"] }],
});
export type CustomerChanges = Static<typeof CustomerChanges>;
