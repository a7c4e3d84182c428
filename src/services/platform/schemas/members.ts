import { Type } from "typebox";
import {
  changesOf,
  Id,
  ListQuery,
  pageOf,
  stamps,
  strict,
  Timestamp,
  Version,
} from "#kernel/http/schemas.ts";
import {
  Email,
  InvitationToken,
  NewPassword,
  personName,
  RoleName,
  Slug,
  tenantName,
} from "./auth.ts";

const active = Type.Boolean({ description: "False locks the person out.", examples: [true] });

export const Member = strict(
  {
    id: Id,
    email: Email,
    name: Type.String({ examples: ["Ada Lovelace"] }),
    role: RoleName,
    active,
    ...stamps,
  },
  { title: "Member" },
);

export const MemberPage = pageOf(Member, { title: "MemberPage" });

export const MemberQuery = strict({
  ...ListQuery.properties,
  role: Type.Optional(RoleName),
  active: Type.Optional(Type.Boolean({ examples: [true] })),
});

export const NewMember = strict(
  {
    email: Email,
    name: personName,
    password: NewPassword,
    role: Type.Optional(RoleName),
  },
  { title: "NewMember" },
);

export const MemberChanges = changesOf(
  { role: RoleName, active },
  { title: "MemberChanges", examples: [{ role: "tenant_admin" }] },
);

const invitationMembers = {
  id: Id,
  email: Email,
  role: RoleName,
  invitedBy: Id,
  version: Version,
  createdAt: Timestamp,
  expiresAt: Timestamp,
};

export const Invitation = strict(invitationMembers, { title: "Invitation" });
export const InvitationPage = pageOf(Invitation, { title: "InvitationPage" });

export const NewInvitation = strict(
  { email: Email, role: Type.Optional(RoleName) },
  { title: "NewInvitation" },
);

export const MadeInvitation = strict(
  { ...invitationMembers, token: { ...InvitationToken, description: "Shown only now." } },
  { title: "MadeInvitation" },
);

export const InvitationAcceptance = strict(
  { invitation: InvitationToken },
  { title: "InvitationAcceptance" },
);

export const JoinedTenant = strict(
  {
    tenant: strict({ id: Id, slug: Slug, name: tenantName }),
    role: RoleName,
  },
  { title: "JoinedTenant" },
);
