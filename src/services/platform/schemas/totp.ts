import { Type } from "typebox";
import { strict } from "#kernel/http/schemas.ts";

export const TotpEnrollment = strict(
  {
    secret: Type.String({
      description: "Base32, to be typed into an authenticator app.",
      examples: ["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"],
    }),
    otpauthUrl: Type.String({
      description: "The same for a QR code.",
      examples: ["otpauth://totp/Plimsoll:ada%40example.com?secret=JBSWY3DPEHPK3PXP"],
    }),
  },
  { title: "TotpEnrollment" },
);

const Code = Type.String({ minLength: 6, maxLength: 64, examples: ["287082"] });

export const TotpConfirmation = strict({ code: Code }, { title: "TotpConfirmation" });

export const RecoveryCodes = strict(
  {
    recoveryCodes: Type.Array(Type.String({ examples: ["ABCD-EFGH-IJKL-MNOP"] }), {
      maxItems: 10,
      description: "Each replaces a code once. Shown only now.",
    }),
  },
  { title: "RecoveryCodes" },
);

export const TotpRemoval = strict(
  {
    password: Type.Optional(Type.String({ maxLength: 1_024, examples: ["correct horse battery"] })),
    code: Type.Optional(Code),
  },
  {
    title: "TotpRemoval",
    description: "Either of them.",
    minProperties: 1,
    examples: [{ code: "287082" }],
  },
);
