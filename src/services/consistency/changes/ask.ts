import { requestErrors } from "#kernel/errors.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { OpenStore, Who } from "../engines/registry-store.ts";
import type { EngineAnswer, EngineAsk } from "../engines/types.ts";
import { consistencyErrors } from "../errors.ts";
import { keyTag, receiptOf } from "../rules/keys.ts";
import {
  type SessionToken,
  sessionContext,
  textOfToken,
  tokenOfText,
} from "../rules/session-token.ts";
import { specOf } from "../rules/stores.ts";
import type { KeyAnswer, Receipt } from "../schemas/keys.ts";
import { getStoredStore } from "../store/stores.ts";
import type { ConsistencyDeps, Opened } from "../types.ts";
import { passwordContext } from "./stores.ts";

/** The tenant's store, open in this process. Throws `not_found` and what `Engines.open` throws. */
export async function openStoreOf(
  { db, secrets, engines }: Pick<ConsistencyDeps, "db" | "secrets" | "engines">,
  tenant: TenantRef,
  id: string,
): Promise<Opened> {
  const row = await getStoredStore(db, tenant, id);
  if (!row) throw requestErrors.not_found();
  const password = row.passwordSealed
    ? secrets
        .open(Buffer.from(row.passwordSealed, "base64url"), passwordContext(tenant.id, id))
        .toString()
    : null;
  return { row, open: await engines.open(tenant, { id, spec: specOf(row, password) }) };
}

/** One request for a key, as a route gets it. */
export interface KeyRequest extends Pick<EngineAsk, "op" | "key" | "value" | "expected" | "level"> {
  readonly tenant: TenantRef;
  readonly sessionToken: string | undefined;
}

type AskDeps = Pick<ConsistencyDeps, "secrets" | "random" | "gauges">;

/**
 * Asks the store. Throws `refused`, `outcome_unknown`, `version_mismatch` and `no_such_key`, each
 * with the receipt, and what is wrong with the session's token.
 */
export async function askKey(
  deps: AskDeps,
  { open }: Opened,
  request: KeyRequest,
): Promise<KeyAnswer> {
  const { tenant, op, key, value, expected, level } = request;
  const token = openToken(deps, open, tenant, request.sessionToken);
  const ask = { id: deps.random.id(), op, key, value, expected, level, replica: null };
  const who: Who = token && { session: token.session, step: token.step };
  const asked = await open.ask({ ...ask, token: token?.engine ?? null }, who);
  const { answer } = asked;
  deps.gauges.asked(open.spec.mode, { level, op, answer, tookMs: asked.tookMs });
  const sealed =
    asked.token && sealToken(deps, open, tenant, { ...asked.token, generation: open.generation });
  const receipt = receiptOf(level, answer, sealed);
  assertDone(answer, key, receipt);
  if (op === "read" && answer.value === null) {
    throw consistencyErrors.no_such_key({
      detail: `There is nothing under "${key}".`,
      extensions: { receipt },
    });
  }
  return { key, value: op === "read" ? answer.value : value, receipt };
}

function assertDone(answer: EngineAnswer, key: string, receipt: Receipt): void {
  const extensions = { receipt };
  if (answer.status === "refused") {
    throw consistencyErrors.refused({
      detail: answer.reason ?? "The store can't give what was asked for now; try again.",
      headers: { "retry-after": "1" },
      extensions,
    });
  }
  if (answer.status === "unknown") {
    throw consistencyErrors.outcome_unknown({
      detail: `${answer.reason ?? "No answer came in time."} Read the key before you try again.`,
      extensions,
    });
  }
  if (answer.status === "mismatch") {
    throw consistencyErrors.version_mismatch({
      detail: `Another version of "${key}" stands there by now; read it again.`,
      ...(answer.version && { headers: { etag: keyTag(answer.version) } }),
      extensions,
    });
  }
}

function openToken(
  { secrets }: Pick<AskDeps, "secrets">,
  open: OpenStore,
  tenant: TenantRef,
  text: string | undefined,
): SessionToken | null {
  if (text === undefined || text === "") return null;
  let token: SessionToken;
  try {
    const sealed = Buffer.from(text, "base64url");
    token = tokenOfText(secrets.open(sealed, sessionContext(tenant.id, open.id)).toString());
  } catch (cause) {
    throw consistencyErrors.bad_session_token({
      detail: "Send the sessionToken of this store's last receipt unchanged, or none.",
      errors: [{ path: "header/x-session-token", message: "is not one of this store" }],
      cause,
    });
  }
  if (token.generation === open.generation) return token;
  throw consistencyErrors.stale_session({
    detail:
      `The session began in generation ${token.generation}; the store has begun anew since, ` +
      `empty, and is in generation ${open.generation}. Begin a session without a token.`,
    extensions: { generation: open.generation, sessionGeneration: token.generation },
  });
}

const sealToken = (
  { secrets }: Pick<AskDeps, "secrets">,
  { id }: OpenStore,
  tenant: TenantRef,
  token: SessionToken,
): string =>
  secrets
    .seal(Buffer.from(textOfToken(token)), sessionContext(tenant.id, id))
    .toString("base64url");
