import type { Version } from "../rules/history.ts";
import type { Answer, Gateway, KeyValue } from "./etcd-gateway.ts";
import type { Found, NodeState, Written } from "./real-backend.ts";
import { Refusal } from "./real-guard.ts";
import type { EngineAsk } from "./types.ts";

/** One etcd member, as a store uses it. */
export interface EtcdNode {
  /** `isNewest`: confirmed by a majority; else what this member has. */
  read(key: string, isNewest: boolean, signal: AbortSignal): Promise<Found>;
  write(ask: EngineAsk, signal: AbortSignal): Promise<Written>;
  state(signal: AbortSignal): Promise<NodeState>;
}

/**
 * Revisions number a cluster's writes and never go back, whoever leads, so that they are versions
 * by themselves. The term of a version is always 1: the raft term of a write is not kept with it,
 * and a later read would tell another.
 */
export const versionAt = (revision: string | number | undefined): Version => ({
  term: 1,
  seq: Number(revision ?? 0),
});

/** What stands under a key; without `v` it was deleted, and only the version tells. */
interface Envelope {
  readonly i: string;
  readonly v?: unknown;
}

const casTriesAtMost = 4;
const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** A member behind its gateway. `majority` is how many nodes have what was acknowledged. */
export function createEtcdNode(gateway: Gateway, storeId: string, majority: number): EtcdNode {
  const nameOf = (key: string) => base64(`plimsoll/${storeId}/${key}`);
  const { post } = gateway;

  async function put(ask: EngineAsk, expected: number | null, signal: AbortSignal) {
    const key = nameOf(ask.key);
    const envelope: Envelope = { i: ask.id, ...(ask.op !== "delete" && { v: ask.value ?? null }) };
    const isEqual = { key, target: "MOD", result: "EQUAL", mod_revision: String(expected) };
    const body = {
      compare: expected === null ? [] : [isEqual],
      success: [{ requestPut: { key, value: base64(JSON.stringify(envelope)) } }],
      failure: [{ requestRange: { key } }],
    };
    return post("/v3/kv/txn", body, signal);
  }

  const written = (ask: EngineAsk, answer: Answer): Written => ({
    status: "ok",
    reason: null,
    version: versionAt(answer.header?.revision),
    value: ask.op === "delete" ? null : ask.value,
    acknowledgements: majority,
  });

  /** What is not there may have been deleted, and then is compared by the deletion's revision. */
  async function cas(ask: EngineAsk, signal: AbortSignal): Promise<Written> {
    let expected = ask.expected?.seq ?? 0;
    let stands: Omit<Found, "position" | "isLost"> = { value: null, version: null };
    for (let tries = 0; tries < casTriesAtMost; tries += 1) {
      const answer = await put(ask, expected, signal);
      if (answer.succeeded) return written(ask, answer);
      const [found] = answer.responses?.[0]?.response_range?.kvs ?? [];
      stands = opened(found);
      if (ask.expected !== null || isThere(found)) break;
      expected = stands.version?.seq ?? 0;
    }
    return { status: "mismatch", reason: null, ...stands, acknowledgements: 0 };
  }

  return {
    async read(key, isNewest, signal) {
      const body = { key: nameOf(key), serializable: !isNewest };
      const { header, kvs } = await post("/v3/kv/range", body, signal);
      return { position: versionAt(header?.revision), ...opened(kvs?.[0]), isLost: false };
    },
    write: async (ask, signal) =>
      ask.op === "cas" ? cas(ask, signal) : written(ask, await put(ask, null, signal)),
    async state(signal) {
      const { header, leader, raftTerm } = await post("/v3/maintenance/status", {}, signal);
      const isLeader = leader !== undefined && leader === header?.member_id;
      return {
        role: isLeader ? "leader" : "follower",
        term: Number(raftTerm ?? 0),
        position: versionAt(header?.revision),
      };
    },
  };
}

function opened(found: KeyValue | undefined): Omit<Found, "position" | "isLost"> {
  if (!found) return { value: null, version: null };
  return { value: envelopeOf(found).v ?? null, version: versionAt(found.mod_revision) };
}

const isThere = (found: KeyValue | undefined): boolean =>
  found !== undefined && "v" in envelopeOf(found);

function envelopeOf({ value }: KeyValue): Envelope {
  try {
    const envelope = JSON.parse(Buffer.from(value ?? "", "base64").toString()) as Envelope;
    if (typeof envelope?.i === "string") return envelope;
  } catch {
    // Told below, as of any other foreign content.
  }
  throw new Refusal("the key holds something that this store did not write", true);
}
