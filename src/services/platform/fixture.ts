import { definePermissions } from "#kernel/access/permissions.ts";
import { defineErrors } from "#kernel/errors.ts";
import { defineService } from "#kernel/service.ts";

/** A service of which these tests need only that it declares events of these types. */
export const telling = (...types: readonly string[]) =>
  defineService({
    name: "telling",
    permissions: definePermissions({}),
    errors: defineErrors("telling", {}),
    routes: () => {},
    events: Object.fromEntries(types.map((type) => [type, { title: `There was ${type}` }])),
  });
