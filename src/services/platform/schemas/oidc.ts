import { Type } from "typebox";
import { strict } from "#kernel/http/schemas.ts";

export const SsoStart = strict({
  returnTo: Type.Optional(
    Type.String({
      maxLength: 500,
      description: "The path of this site to come back to.",
      examples: ["/orders"],
    }),
  ),
});

/** What providers send along is theirs to say; openid-client checks it. */
export const SsoCallback = Type.Object(
  {
    code: Type.Optional(Type.String({ maxLength: 4_096, examples: ["SplxlOBeZQQYbYS6WxSbIA"] })),
    state: Type.Optional(Type.String({ maxLength: 500, examples: ["af0ifjsldkj"] })),
    error: Type.Optional(Type.String({ maxLength: 200, examples: ["access_denied"] })),
  },
  { additionalProperties: true },
);

export const Redirect = Type.Null({ description: "Go to the address in Location." });
