import { Type } from "typebox";
import { pageOf, strict, Timestamp } from "#kernel/http/schemas.ts";

const Kid = Type.String({
  maxLength: 100,
  examples: ["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"],
});

const orNull = (description: string) => Type.Union([Timestamp, Type.Null()], { description });

export const SigningKey = strict(
  {
    kid: Kid,
    algorithm: Type.Enum(["EdDSA", "ES256"], { examples: ["EdDSA"] }),
    state: Type.Enum(["pending", "signing", "verifying", "dead"], {
      description: "Published; signs; only verifies; its last token has expired.",
      examples: ["signing"],
    }),
    createdAt: Timestamp,
    activatesAt: Timestamp,
    retiresAt: orNull("When it stops signing; null for the newest one."),
    deadAt: orNull("When its last token has expired; null for the newest one."),
    ageSeconds: Type.Integer({ minimum: 0, examples: [86_400] }),
  },
  { title: "SigningKey" },
);

export const SigningKeys = pageOf(SigningKey, { title: "SigningKeys" });

export const Rotation = strict(
  { confirm: { ...Kid, description: "The id of the key that signs now." } },
  { title: "Rotation" },
);

const JsonWebKey = Type.Object(
  {
    kty: Type.String({ examples: ["OKP"] }),
    kid: Kid,
    alg: Type.String({ examples: ["EdDSA"] }),
    use: Type.String({ examples: ["sig"] }),
    crv: Type.String({ examples: ["Ed25519"] }),
    x: Type.String({ examples: ["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"] }),
    y: Type.Optional(
      Type.String({
        description: "Of ES256 keys.",
        examples: ["x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"],
      }),
    ),
  },
  { title: "JsonWebKey" },
);

export const JsonWebKeySet = strict(
  { keys: Type.Array(JsonWebKey, { maxItems: 20 }) },
  { title: "JsonWebKeySet" },
);
