import { requestErrors } from "#kernel/errors.ts";
import type { Clock } from "#kernel/clock.ts";
import type { Random } from "#kernel/random.ts";
import type { Logger } from "#kernel/telemetry/logger.ts";
import { leasesErrors } from "../errors.ts";
import type { LiveTerminal, TerminalOwner, Terminals } from "../types.ts";
import { runTerminal } from "./terminal.ts";

const instanceBytes = 4;
const nameBytes = 12;
const endedMost = 64;

interface Entry {
  readonly owner: TerminalOwner;
  readonly live: LiveTerminal;
}

/**
 * The terminals of this process. They end with it: a program at a terminal is held by a connection
 * of the server's, and what was shown is in its memory. So a terminal's name says which process has
 * it, and another one can tell "elsewhere" from "gone".
 */
export function createTerminals(deps: { clock: Clock; random: Random; log: Logger }): Terminals {
  const { clock, random, log } = deps;
  const instance = random.bytes(instanceBytes).toString("hex");
  const entries = new Map<string, Entry>();
  /** Those whose readers may still want to hear how they ended, oldest first. */
  const ended = new Set<LiveTerminal>();
  let isStopped = false;
  const keepEnded = (live: LiveTerminal) => {
    ended.add(live);
    const [oldest] = ended;
    if (ended.size > endedMost) void oldest?.drop();
  };
  return {
    count: () => entries.size,
    async begin(owner, open) {
      const terminal = await open();
      const id = `${instance}-${random.bytes(nameBytes).toString("hex")}`;
      const live = runTerminal({ id, terminal, clock, log });
      entries.set(id, { owner, live });
      void live.over.then(() => {
        entries.delete(id);
        ended.delete(live);
      });
      void live.ended.then(() => keepEnded(live));
      if (!isStopped) return live;
      await live.drop();
      throw requestErrors.unavailable({ detail: "The server is stopping." });
    },
    find(id, owner) {
      const found = entries.get(id);
      if (found && isSame(found.owner, owner)) return found.live;
      if (id.startsWith(`${instance}-`)) {
        throw leasesErrors.terminal_gone({
          detail: "The terminal has ended, or was never yours; open another one.",
        });
      }
      throw leasesErrors.terminal_elsewhere({
        detail:
          "The terminal was opened at another server, or at this one before it was started " +
          "again; it can be reached there only, if it is still there.",
      });
    },
    async stop() {
      isStopped = true;
      await Promise.all([...entries.values()].map(({ live }) => live.drop()));
    },
  };
}

const isSame = (one: TerminalOwner, other: TerminalOwner): boolean =>
  one.tenantId === other.tenantId &&
  one.leaseId === other.leaseId &&
  one.callerId === other.callerId;
