import { isForeignKeyViolation } from "#kernel/db/pg-errors.ts";
import { ordersErrors } from "../errors.ts";

/** For the `.catch` of a delete: `in_use` where orders refer to the row. */
export function inUse(what: string) {
  return (error: unknown): never => {
    if (!isForeignKeyViolation(error)) throw error;
    throw ordersErrors.in_use({
      detail: `Orders refer to the ${what}, so it must stay; PATCH {"active": false} retires it.`,
    });
  };
}
