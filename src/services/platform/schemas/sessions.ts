import { Type } from "typebox";
import { Id, pageOf, strict, Timestamp, Version } from "#kernel/http/schemas.ts";

export const Session = strict(
  {
    id: Id,
    current: Type.Boolean({ description: "The one that asks.", examples: [true] }),
    method: Type.Enum(["password", "sso", "registration"], { examples: ["password"] }),
    userAgent: Type.String({ examples: ["Mozilla/5.0 (X11; Linux x86_64)"] }),
    address: Type.String({ examples: ["192.0.2.10"] }),
    tenantId: Id,
    createdAt: Timestamp,
    lastUsedAt: Timestamp,
    expiresAt: Timestamp,
    version: Version,
  },
  { title: "Session" },
);

export const SessionPage = pageOf(Session, { title: "SessionPage" });
