import { Type } from "typebox";
import { Id, line, strict } from "#kernel/http/schemas.ts";

export const Email = Type.String({
  minLength: 3,
  maxLength: 254,
  description: "Compared in lower case.",
  examples: ["ada@example.com"],
});

/** Of an account that is made or changed; the kernel counts characters and bytes exactly. */
export const NewPassword = Type.String({
  minLength: 8,
  maxLength: 256,
  description: "8 characters or more, 256 bytes at most.",
  examples: ["correct horse battery"],
});

const Password = Type.String({ maxLength: 1_024, examples: ["correct horse battery"] });

export const personName = line(200, "The person's name.", "Ada Lovelace");
export const tenantName = line(200, "The tenant's name.", "Ada Ltd");

export const Slug = Type.String({
  pattern: "^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$",
  "x-must": "be 2 to 63 lower-case letters, digits and hyphens, no hyphen at either end",
  description: "Unique on this server; usable as a host name.",
  examples: ["ada-ltd"],
});

export const InvitationToken = Type.String({
  maxLength: 200,
  description: "As whoever invited passed it on.",
  examples: ["pli_AZqfbitcfDGdCm8dLjxLWl7aS6g…"],
});

const useCookie = Type.Optional(
  Type.Boolean({
    description:
      "For browsers: keep the refresh token in an HttpOnly cookie instead of the answer.",
    examples: [false],
  }),
);

const RefreshToken = Type.String({
  maxLength: 200,
  description: "Good for one use, within 30 days. Used again, it ends the session.",
  examples: ["plr_AZqfbitcfDGdCm8dLjxLWg…"],
});

export const Registration = strict(
  {
    email: Email,
    password: NewPassword,
    name: personName,
    tenant: Type.Optional(
      strict(
        { name: tenantName, slug: Type.Optional(Slug) },
        {
          description: "Makes a tenant, with you as its admin. Either this or an invitation.",
        },
      ),
    ),
    invitation: Type.Optional(InvitationToken),
    cookie: useCookie,
  },
  {
    title: "Registration",
    examples: [
      {
        email: "ada@example.com",
        password: "correct horse battery",
        name: "Ada Lovelace",
        tenant: { name: "Ada Ltd" },
      },
    ],
  },
);

export const Credentials = strict(
  {
    email: Type.String({ maxLength: 1_024, examples: ["ada@example.com"] }),
    password: Password,
    totp: Type.Optional(
      Type.String({
        maxLength: 64,
        description: "A code of the authenticator app, or a recovery code.",
        examples: ["287082"],
      }),
    ),
    tenant: Type.Optional(
      Type.String({
        maxLength: 64,
        description: "Slug or id; the last one used unless given.",
        examples: ["ada-ltd"],
      }),
    ),
    invitation: Type.Optional(InvitationToken),
    cookie: useCookie,
  },
  {
    title: "Credentials",
    examples: [{ email: "ada@example.com", password: "correct horse battery" }],
  },
);

export const User = strict(
  {
    id: Id,
    email: Email,
    name: Type.String({ examples: ["Ada Lovelace"] }),
    platformAdmin: Type.Boolean({ examples: [false] }),
    totpEnabled: Type.Boolean({ description: "Signing in needs a second factor." }),
  },
  { title: "User" },
);

export const ActingTenant = strict(
  {
    id: Id,
    slug: Slug,
    name: Type.String({ examples: ["Ada Ltd"] }),
    isolation: Type.Enum(["shared", "dedicated"], { examples: ["shared"] }),
  },
  { title: "ActingTenant" },
);

export const RoleName = Type.String({
  pattern: "^[a-z][a-z0-9_]{1,39}$",
  "x-must": "be 2 to 40 lower-case letters, digits and underscores, a letter first",
  description: "tenant_admin, user, or one of the tenant's own roles.",
  examples: ["user"],
});

export const SignedIn = strict(
  {
    user: User,
    tenant: ActingTenant,
    role: RoleName,
    accessToken: Type.String({
      description: "A JWT, to be sent as a bearer token.",
      examples: ["eyJhbGciOiJFZERTQSIsImtpZCI6…"],
    }),
    expiresInSeconds: Type.Integer({ minimum: 1, examples: [900] }),
    refreshToken: Type.Optional(RefreshToken),
  },
  { title: "SignedIn" },
);

export const Refresh = strict(
  {
    refreshToken: Type.Optional(RefreshToken),
  },
  { title: "Refresh", description: "Without a token: the one in the cookie." },
);

export const TenantSwitch = strict(
  {
    tenant: Type.String({ maxLength: 64, description: "Slug or id.", examples: ["ada-ltd"] }),
    cookie: useCookie,
  },
  { title: "TenantSwitch", examples: [{ tenant: "ada-ltd" }] },
);

export const PasswordChange = strict(
  { currentPassword: Password, newPassword: NewPassword },
  { title: "PasswordChange" },
);

export const Me = strict(
  {
    user: User,
    tenant: ActingTenant,
    role: RoleName,
    permissions: Type.Array(Type.String({ examples: ["order:read"] }), {
      maxItems: 1_000,
      description: "What may be done here; `:own` at the end means to one's own only.",
    }),
    sessionId: Id,
  },
  { title: "Me" },
);

export const SignInMethods = strict(
  {
    password: Type.Boolean({ examples: [true] }),
    registration: Type.Boolean({ examples: [true] }),
    sso: Type.Boolean({ description: "Single sign-on begins at /auth/oidc/start." }),
  },
  { title: "SignInMethods" },
);
