import { defineErrors } from "../errors.ts";

export const accessErrors = defineErrors("access", {
  forbidden: { status: 403, title: "The caller lacks the permission for this operation" },
  beyond_own: { status: 403, title: "Nobody may hand out a permission that they do not have" },
  unknown_permission: { status: 422, title: "A permission is not one that the services declare" },
  unknown_role: { status: 422, title: "The tenant has no role of that name" },
  reserved_role: { status: 422, title: "The role's name belongs to a built-in role" },
  role_taken: { status: 409, title: "The tenant already has a role of that name" },
  role_in_use: { status: 409, title: "Members or invitations still have the role" },
  too_many_roles: { status: 409, title: "The tenant has as many roles as it may have" },
});
