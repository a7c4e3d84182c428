import { Agent, request } from "node:http";

/** How one request ended, as its client saw it. */
export type Outcome =
  | { kind: "answered"; status: number; id: string | null }
  /** Nobody accepted the connection: nothing was promised, the client may try again. */
  | { kind: "refused" }
  /** The request had been sent and no answer came. */
  | { kind: "lost"; reason: string };

export interface Ledger {
  answered: number;
  refused: number;
  lost: string[];
  /** Answers that are no success, by status. */
  failed: Map<number, number>;
  /** Ids of writes that were acknowledged. */
  acknowledged: string[];
}

export interface LoadOptions {
  url: string;
  apiKey: string;
  /** Half of them keep their connection, half open a fresh one each time. */
  clients: number;
}

function create(url: string, apiKey: string, name: string, agent: Agent): Promise<Outcome> {
  const body = JSON.stringify({ name, address: "1 Test Street" });
  return new Promise((resolve) => {
    let connected = false;
    const outgoing = request(
      `${url}/api/v1/shops`,
      {
        method: "POST",
        agent,
        headers: {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(body),
          "x-api-key": apiKey,
        },
      },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (chunk) => {
          text += chunk;
        });
        answer.on("end", () => {
          const status = answer.statusCode ?? 0;
          const id = status === 201 ? (JSON.parse(text) as { id: string }).id : null;
          resolve({ kind: "answered", status, id });
        });
        answer.on("error", (error) =>
          resolve({ kind: "lost", reason: `answer: ${error.message}` }),
        );
      },
    );
    outgoing.on("socket", (socket) => {
      connected = !socket.connecting;
      if (connected) return;
      socket.once("connect", () => {
        connected = true;
      });
    });
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      const refused = !connected || error.code === "ECONNREFUSED";
      resolve(
        refused ? { kind: "refused" } : { kind: "lost", reason: error.code ?? error.message },
      );
    });
    outgoing.end(body);
  });
}

function enter(ledger: Ledger, outcome: Outcome): void {
  if (outcome.kind === "refused") ledger.refused += 1;
  else if (outcome.kind === "lost") ledger.lost.push(outcome.reason);
  else {
    ledger.answered += 1;
    if (outcome.id) ledger.acknowledged.push(outcome.id);
    else ledger.failed.set(outcome.status, (ledger.failed.get(outcome.status) ?? 0) + 1);
  }
}

const CHECK_EVERY_MS = 25;

/**
 * What a load balancer does: asks /ready, and opens no connection to a server that says no. Those
 * that are open stay in use, until the server's answers close them.
 */
function watchReadiness(url: string): { open(): Promise<void>; stop(): void } {
  let stopped = false;
  let ready = Promise.resolve();
  let becomesReady: (() => void) | null = null;
  const watch = async () => {
    while (!stopped) {
      const isReady = await fetch(`${url}/ready`).then(
        (answer) => answer.ok,
        () => false,
      );
      if (isReady) {
        becomesReady?.();
        becomesReady = null;
      } else if (!becomesReady) {
        ready = new Promise((resolve) => {
          becomesReady = resolve;
        });
      }
      await new Promise((resolve) => setTimeout(resolve, CHECK_EVERY_MS));
    }
    becomesReady?.();
  };
  void watch();
  return {
    open: () => ready,
    stop() {
      stopped = true;
    },
  };
}

/** Creates shops without pause until `stop`, and writes down how each request ended. */
export function startLoad({ url, apiKey, clients }: LoadOptions): {
  ledger: Ledger;
  stop(): Promise<Ledger>;
} {
  const ledger: Ledger = { answered: 0, refused: 0, lost: [], failed: new Map(), acknowledged: [] };
  const run = `${process.pid}-${Math.round(performance.timeOrigin)}`;
  const readiness = watchReadiness(url);
  let stopping = false;
  let number = 0;
  const loops = Array.from({ length: clients }, async (_, client) => {
    const agent = new Agent({ keepAlive: client % 2 === 0, maxSockets: 1 });
    while (!stopping) {
      const isConnected = Object.keys(agent.freeSockets).length > 0;
      if (!isConnected) await readiness.open();
      number += 1;
      const outcome = await create(url, apiKey, `Chaos ${run} ${number}`, agent);
      enter(ledger, outcome);
      if (outcome.kind !== "answered") await new Promise((resolve) => setTimeout(resolve, 10));
    }
    agent.destroy();
  });
  return {
    ledger,
    async stop() {
      stopping = true;
      readiness.stop();
      await Promise.all(loops);
      return ledger;
    },
  };
}
