import { Type } from "typebox";
import { defineErrors } from "#kernel/errors.ts";
import { Receipt } from "./schemas/keys.ts";

const number = (description: string, example: number) =>
  Type.Integer({ minimum: 0, description, examples: [example] });

/** Without its name: among problems it is a member with a description of its own. */
const receipt = { ...Receipt, title: undefined };

/** What this service refuses by a name of its own. */
export const consistencyErrors = defineErrors("consistency", {
  store_name_taken: { status: 409, title: "There is another store of this name" },
  bad_topology: { status: 422, title: "The topology does not suit the engine" },
  bad_bounds: { status: 422, title: "The store can't keep these bounds" },
  node_not_allowed: { status: 422, title: "This installation allows no such node" },
  too_many_stores: { status: 409, title: "The tenant has as many stores as it may have" },
  store_elsewhere: { status: 503, title: "The store lives in the memory of another process" },
  too_many_open: { status: 503, title: "As many stores are open as may be" },
  no_engine: { status: 503, title: "The store's engine can't be reached" },
  refused: {
    status: 503,
    title: "The store refuses rather than be wrong",
    members: { receipt },
  },
  outcome_unknown: {
    status: 504,
    title: "Whether it took effect is not known",
    members: { receipt },
  },
  no_such_key: {
    status: 404,
    title: "There is nothing under the key",
    members: { receipt },
  },
  version_mismatch: {
    status: 412,
    title: "Another version stands under the key",
    members: { receipt },
  },
  bad_session_token: { status: 400, title: "The session token is not one of this store" },
  stale_session: {
    status: 409,
    title: "The session is of an earlier generation of the store",
    members: {
      generation: number("The store's, now.", 2),
      sessionGeneration: number("The token's.", 1),
    },
  },
  bad_fault: { status: 422, title: "The fault is not one that this store can have" },
  bad_run: { status: 422, title: "The run does not suit the store" },
  run_under_way: { status: 409, title: "Something runs on the store already" },
  not_running: { status: 409, title: "The run is over" },
  empty_history: { status: 409, title: "The store has no history yet" },
  checks_busy: { status: 503, title: "As many histories are being checked as may be" },
  no_page: { status: 409, title: "The check has no page" },
});
