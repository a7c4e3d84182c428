import { noVersion } from "../engine/member.ts";
import type { Fork, Version } from "../rules/history.ts";
import type { Found, NodeState, Written } from "./real-backend.ts";
import { Late, NotSent, Refusal } from "./real-guard.ts";
import { createLanes, type Lanes } from "./redis-lanes.ts";
import type { RedisClient, RedisLink } from "./redis-link.ts";
import { type StoreKeys, tombstoneMs } from "./redis-scripts.ts";
import type { EngineAsk } from "./types.ts";

/** One Redis server, as a store uses it. */
export interface RedisNode {
  read(key: string, token: Version | null, mustBePrimary: boolean): Promise<Found>;
  /** Writes and, for a strong one, waits until `copies` other nodes have it. */
  write(ask: EngineAsk, copies: number, deadlineMs: number): Promise<Written>;
  state(): Promise<NodeState>;
  /** Where each term took over, as this server knows it. */
  forks(): Promise<Fork[]>;
  becomePrimary(): Promise<void>;
  follow(host: string, port: number): Promise<void>;
  doubt(sinceMs: number): void;
  readonly attempted: Promise<void>;
  close(): void;
}

/** A server looks ten times a second whether somebody has waited long enough. */
const marginMs = 125;

/** A server whose connections `open` makes. */
export function createRedisNode(
  keys: StoreKeys,
  open: () => RedisLink,
  nowMs: () => number,
): RedisNode {
  const link = open();
  const lanes: Lanes = createLanes(open);
  const of = (key: string) => [keys.meta, keys.forks, keys.cell(key)];
  return {
    attempted: link.attempted,
    async read(key, token, mustBePrimary) {
      const values = [
        token === null ? "" : String(token.term),
        String(token?.seq ?? 0),
        mustBePrimary ? "1" : "0",
      ];
      const reply = await link.run((client) => client.look(of(key), values));
      const [term, seq, cellTerm, cellSeq, value, lost, role] = reply;
      if (mustBePrimary && role !== "master") throw new Refusal("it is no primary", true);
      return {
        position: versionOf(term, seq) ?? noVersion,
        value: value == null ? null : JSON.parse(String(value)),
        version: versionOf(cellTerm, cellSeq),
        isLost: lost === 1,
      };
    },
    write(ask, copies, deadlineMs) {
      const change = (client: RedisClient) => client.change(of(ask.key), changeOf(ask));
      if (ask.level !== "strong") return link.run(change).then((reply) => written(ask, reply));
      return lanes.use(async (lane) => {
        if (nowMs() >= deadlineMs) throw new NotSent("its turn came too late");
        const result = written(ask, await lane.run(change));
        if (result.status !== "ok" || copies === 0) return result;
        return { ...result, ...(await acknowledged(lane, copies, deadlineMs - nowMs())) };
      });
    },
    async state() {
      const { position } = await this.read("", null, false);
      const info = await link.run((client) => client.info("replication"));
      const isPrimary = /^role:master/m.test(info);
      return { role: isPrimary ? "primary" : "replica", term: position.term, position };
    },
    async forks() {
      const texts = await link.run((client) => client.lRange(keys.forks, 0, -1));
      return texts.map((text) => {
        const [term, afterTerm, afterSeq] = text.split(":").map(Number);
        return { term: term!, after: { term: afterTerm!, seq: afterSeq! } };
      });
    },
    async becomePrimary() {
      await link.run((client) => client.sendCommand(["REPLICAOF", "NO", "ONE"]));
    },
    async follow(host, port) {
      await link.run((client) => client.sendCommand(["REPLICAOF", host, String(port)]));
    },
    doubt: link.doubt,
    close() {
      link.close();
      lanes.close();
    },
  };
}

type Reply = (string | number | null)[];

const versionOf = (term: unknown, seq: unknown): Version | null =>
  term == null ? null : { term: Number(term), seq: Number(seq) };

const changeOf = ({ op, id, value, expected }: EngineAsk): string[] => [
  op,
  id,
  JSON.stringify(value ?? null),
  expected === null ? "" : String(expected.term),
  String(expected?.seq ?? 0),
  String(tombstoneMs),
];

function written(ask: EngineAsk, [status, term, seq, value]: Reply): Written {
  const isMatch = status === "ok";
  const stands = value == null ? null : JSON.parse(String(value));
  return {
    status: isMatch ? "ok" : "mismatch",
    reason: null,
    version: versionOf(term, seq),
    value: isMatch ? (ask.op === "delete" ? null : ask.value) : stands,
    acknowledgements: isMatch ? 1 : 0,
  };
}

/** What WAIT says of a write that stands on the primary. */
async function acknowledged(
  lane: RedisLink,
  copies: number,
  leftMs: number,
): Promise<Pick<Written, "status" | "reason" | "acknowledgements">> {
  const needed = copies + 1;
  const fallsShort = (acknowledgements: number) => ({
    status: "unknown" as const,
    reason:
      `${acknowledgements} of the ${needed} nodes needed have the write: it stands on the ` +
      "primary and would be lost in a failover; read the key before retrying.",
    acknowledgements,
  });
  try {
    const waitMs = Math.max(1, Math.floor(leftMs - Math.min(marginMs, leftMs / 2)));
    const got = await lane.run((client) => client.wait(copies, waitMs));
    if (got >= copies) return { status: "ok", reason: null, acknowledgements: got + 1 };
    return fallsShort(got + 1);
  } catch (error) {
    if (error instanceof Late) throw error;
    // The write itself was answered; only how many have it was not.
    return fallsShort(1);
  }
}
