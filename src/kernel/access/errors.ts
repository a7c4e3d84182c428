import { defineErrors } from "../errors.ts";

/** What access answers: to a caller who may not, or who hands out what they may not. */
export const accessErrors = defineErrors("access", {
  forbidden: { status: 403, title: "The caller lacks the permission for this operation" },
  foreign_origin: { status: 403, title: "Pages of this origin may not open WebSockets here" },
  beyond_own: { status: 403, title: "Nobody may hand out a permission that they do not have" },
  unknown_permission: { status: 422, title: "A permission is not one that the services declare" },
});
