import { Type } from "typebox";
import { Id, line, pageOf, strict, Timestamp, Version } from "#kernel/http/schemas.ts";

export const Grants = Type.Array(Type.String({ maxLength: 100, examples: ["order:read"] }), {
  maxItems: 200,
  uniqueItems: true,
  description: "Permissions; `:own` at the end limits one to what one owns.",
  examples: [["order:read", "order:confirm:own"]],
});

const expiry = Type.Union([Timestamp, Type.Null()], {
  description: "Null or absent: it does not expire.",
});

const members = {
  id: Id,
  name: line(200, "What it is for.", "Nightly import"),
  lastFour: Type.String({ description: "Tells keys apart.", examples: ["x9Qk"] }),
  permissions: Grants,
  createdBy: Id,
  createdAt: Timestamp,
  expiresAt: expiry,
  lastUsedAt: Type.Union([Timestamp, Type.Null()], { description: "To the minute." }),
  version: Version,
};

export const ApiKey = strict(members, { title: "ApiKey" });
export const ApiKeyPage = pageOf(ApiKey, { title: "ApiKeyPage" });

export const NewApiKey = strict(
  { name: members.name, permissions: Grants, expiresAt: Type.Optional(expiry) },
  {
    title: "NewApiKey",
    examples: [{ name: "Nightly import", permissions: ["order:read"] }],
  },
);

export const MadeApiKey = strict(
  {
    ...members,
    key: Type.String({
      description: "Send it as X-API-Key. Shown only now.",
      examples: ["plm_AZqfbitcfDGdCm8dLjxLWl7aS6g…"],
    }),
  },
  { title: "MadeApiKey" },
);
