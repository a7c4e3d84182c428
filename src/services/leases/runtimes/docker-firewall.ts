import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import type { Clock } from "#kernel/clock.ts";
import { runtimeErrors } from "./errors.ts";

/** Bridges of networks without egress and with it begin like this; the rules go by these names. */
export const bridgePrefix = { none: "plmn", internet: "plmi" } as const;

/**
 * What no container reaches: this network, other tenants', the host's cloud. IANA's special-purpose
 * registries, multicast, and Azure's address for its own machines.
 */
const neverReached = [
  ..."0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16".split(" "),
  ..."172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16".split(" "),
  ..."198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4".split(" "),
];

const { none, internet } = bridgePrefix;
const fromUs = "-i plm+";

/** Chain → its rules, spelled as `iptables -S` spells them. */
const chains = {
  /** What containers send to the host itself: answers, and nothing else. */
  "PLIMSOLL-INPUT": [`${fromUs} -m conntrack --ctstate ESTABLISHED -j RETURN`, `${fromUs} -j DROP`],
  "PLIMSOLL-FORWARD": [
    `-i ${none}+ -j DROP`,
    `-o ${none}+ -j DROP`,
    `-o ${internet}+ -m conntrack --ctstate NEW -j DROP`,
    ...neverReached.map((range) => `-d ${range} -i ${internet}+ -j DROP`),
  ],
} as const;

/** Chain of others → ours, which must come first in it. */
const jumps = { INPUT: "PLIMSOLL-INPUT", "DOCKER-USER": "PLIMSOLL-FORWARD" } as const;

const rulesIn = (listing: string, chain: string): string[] =>
  listing
    .split("\n")
    .filter((line) => line.startsWith(`-A ${chain} `))
    .map((line) => line.slice(`-A ${chain} `.length).trim());

/**
 * What the listing of `iptables -S` lacks: null where all rules are in force, else the input for
 * `iptables-restore --noflush` that puts them there in one step. Throws where the engine's own
 * chain is missing, because nothing would then pass ours.
 */
export function missingRules(listing: string): string | null {
  if (!rulesIn(listing, "FORWARD").includes("-j DOCKER-USER")) {
    throw new Error("there is no chain DOCKER-USER that forwarded packets pass");
  }
  const areWhole = Object.entries(chains).every(
    ([chain, rules]) => rulesIn(listing, chain).join("\n") === rules.join("\n"),
  );
  const areFirst = Object.entries(jumps).every(
    ([chain, target]) => rulesIn(listing, chain)[0] === `-j ${target}`,
  );
  if (areWhole && areFirst) return null;
  const lines = Object.entries(chains).flatMap(([chain, rules]) => [
    `:${chain} - [0:0]`,
    ...rules.map((rule) => `-A ${chain} ${rule}`),
  ]);
  for (const [chain, target] of Object.entries(jumps)) {
    const there = rulesIn(listing, chain).filter((rule) => rule === `-j ${target}`);
    lines.push(...there.map((rule) => `-D ${chain} ${rule}`), `-I ${chain} 1 -j ${target}`);
  }
  return ["*filter", ...lines, "COMMIT", ""].join("\n");
}

const commandTimeoutMs = 10_000;

function run(program: string, args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { PATH: "/usr/sbin:/sbin:/usr/bin:/bin", LC_ALL: "C" };
    const options = { env, timeout: commandTimeoutMs, maxBuffer: 16 * 2 ** 20 };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${program}: ${stderr.trim() || error.message}`));
      else resolve(stdout);
    });
    // A program that ends without reading all says by its code how it went.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

const list = () => run("iptables", ["-w", "5", "-S"]);

/** Between containers on one bridge the rules only hold where the kernel shows them its packets. */
function filtersBridges(): boolean {
  const path = "/proc/sys/net/bridge/bridge-nf-call-iptables";
  return existsSync(path) && readFileSync(path, "utf8").trim() === "1";
}

const triesMost = 6;
const betweenTriesMs = 100;

/**
 * Whoever looks while the engine makes a network may find its chain cut off: it takes the jump to
 * DOCKER-USER away to put it on top again. So what is amiss is looked at again.
 */
async function persistently<T>(clock: Pick<Clock, "sleep">, look: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await look();
    } catch (error) {
      if (tries === triesMost) throw error;
      await clock.sleep(betweenTriesMs);
    }
  }
}

async function putInForce(): Promise<void> {
  if (!filtersBridges()) throw new Error("the kernel does not filter packets on bridges");
  const missing = missingRules(await list());
  if (missing === null) return;
  await run("iptables-restore", ["-w", "5", "--noflush"], missing);
  if (missingRules(await list()) !== null) throw new Error("the rules did not stay");
}

/** The rules of this host that keep containers from what they must not reach. */
export interface Firewall {
  /** Puts the rules in force or throws "refused": a network without them is none of ours. */
  ensure(): Promise<void>;
  /** Whether they were in force, a few seconds ago at most. */
  isInForce(): Promise<boolean>;
}

const knownMsMax = 5_000;

async function areInForce(clock: Pick<Clock, "sleep">): Promise<boolean> {
  if (!filtersBridges()) return false;
  try {
    return await persistently(clock, async () => missingRules(await list()) === null);
  } catch {
    // Who can't read the rules can't say that they are there.
    return false;
  }
}

/**
 * Rules by iptables, which needs root in the engine's own network. Asked at once, looked up once.
 */
export function createFirewall(clock: Pick<Clock, "sleep">): Firewall {
  let ensuring: Promise<void> | null = null;
  let known: Promise<boolean> | null = null;
  let knownAtMs = 0;
  return {
    async ensure() {
      ensuring ??= persistently(clock, putInForce).finally(() => {
        ensuring = null;
      });
      try {
        await ensuring;
      } catch (cause) {
        const detail =
          "Ports and egress to the internet need firewall rules on the engine's host, which " +
          "could not be set. Run the server there as root, with iptables, or lease without " +
          "ports and with egress none.";
        throw runtimeErrors.refused({ cause, detail });
      }
    },
    isInForce() {
      const nowMs = performance.now();
      if (known === null || nowMs - knownAtMs > knownMsMax) {
        known = areInForce(clock);
        knownAtMs = nowMs;
      }
      return known;
    },
  };
}
