import { Pool } from "undici";
import type { Link } from "./proxy.ts";
import { NotSent, Refusal } from "./real-guard.ts";

/** One etcd member, asked over its JSON gateway (etcd.io/docs, "gRPC gateway"). */
export interface Gateway {
  /** Rejects as real-guard.ts says. */
  post(path: string, body: object, signal: AbortSignal): Promise<Answer>;
  close(): Promise<void>;
}

/** What the gateway answers; numbers of 64 bits are texts, and what is 0 or false is left out. */
export interface Answer {
  readonly header?: { readonly revision?: string; readonly member_id?: string };
  readonly kvs?: readonly KeyValue[];
  readonly succeeded?: boolean;
  readonly responses?: readonly {
    readonly response_range?: { readonly kvs?: readonly KeyValue[] };
  }[];
  readonly leader?: string;
  readonly raftTerm?: string;
}

export interface KeyValue {
  readonly mod_revision: string;
  readonly value?: string;
}

const connectionsAtMost = 32;
const underWayAtMost = 1_000;
const answerBytesAtMost = 8 * 1024 * 1024;

/** gRPC's codes for what may have been carried out although it failed. */
const openCodes: readonly number[] = [1, 2, 4, 13, 14];

interface GatewayOptions {
  readonly link: Link;
  readonly host: string;
  readonly timeoutMs: number;
  onFailure(): void;
}

/** Opens a member behind its proxy; connections are made as they are needed. */
export function openGateway({ link, host, timeoutMs, onFailure }: GatewayOptions): Gateway {
  const pool = new Pool(`http://${link.host}:${link.port}`, {
    connections: connectionsAtMost,
    pipelining: 1,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxResponseSize: answerBytesAtMost,
    connect: (_target, callback) => {
      link.connect(timeoutMs).then(
        (socket) => {
          socket.once("close", (hadError) => hadError && onFailure());
          callback(null, socket);
        },
        (error: Error) => {
          onFailure();
          callback(new NotSent(error.message), null);
        },
      );
    },
  });
  let underWay = 0;
  return {
    async post(path, body, signal) {
      if (underWay >= underWayAtMost) throw new NotSent("too many requests are under way");
      underWay += 1;
      try {
        const response = await pool.request({
          method: "POST",
          path,
          headers: { host, "content-type": "application/json" },
          body: JSON.stringify(body),
          signal,
        });
        const answer = (await response.body.json()) as Answer & { error?: string; code?: number };
        if (response.statusCode === 200) return answer;
        const why = (answer.error ?? `status ${response.statusCode}`).slice(0, 200);
        if (openCodes.includes(answer.code ?? 2)) throw new Error(why);
        throw new Refusal(why, false);
      } finally {
        underWay -= 1;
      }
    },
    close: () => pool.destroy(),
  };
}
