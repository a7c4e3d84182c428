import assert from "node:assert/strict";
import { test } from "node:test";
import { checkHistory } from "../rules/check.ts";
import { historyIn, scenarioOf } from "./judge.ts";
import { type Protocol, soundProtocol } from "./protocol.ts";
import { hashOf } from "./recorder.ts";
import { runScenario } from "./scenario.ts";

const seedsAtMost = 1_500;

/** What an implementation could get wrong, each one decision. */
const mutants: Record<string, Partial<Protocol>> = {
  "no fencing": { isFenced: () => false },
  "a minority commits": { quorum: () => 1 },
  "votes for a log that is behind": {
    mayVote: (votedFor, candidate) => votedFor === null || votedFor === candidate,
  },
  "votes twice in a term": { mayVote: (_votedFor, _candidate, last, own) => last.seq >= own.seq },
  "forgets its vote in a crash": { keptVote: () => null },
  "a stale read index": { isConfirmed: () => true },
  "acknowledges before the disk": { syncsFirst: () => false },
  "a repeated write takes effect twice": { recognizes: () => false },
  "ignores the token": { meetsToken: () => true },
  "ignores the token of an AP session": { meetsVector: () => true },
  "ignores the bound in time": { isFresh: () => true },
  "ignores the bound in versions": { isNear: () => true },
  "counts a shortfall as ok": { endOfUnheard: () => "ok" },
  "counts a timeout as failed": { endOfUnheard: () => "refused" },
  "applies a write before its causes": { waitsForCauses: () => false },
};

/** Those that only an AP store has; the others are looked for in CP. */
const ofAp = ["ignores the token of an AP session", "applies a write before its causes"];

for (const [name, wrong] of Object.entries(mutants)) {
  // Guards against a checker, or faults, too tame to notice a broken protocol.
  test(`it is caught, and the seed that catches it replays: ${name}`, (t) => {
    const protocol = { ...soundProtocol, ...wrong };
    const mode = ofAp.includes(name) ? "AP" : "CP";
    for (let seed = 1; seed <= seedsAtMost; seed += 1) {
      const recording = runScenario(scenarioOf(seed, protocol, mode));
      const { status, claims } = checkHistory(historyIn(recording));
      if (status !== "violation") continue;
      const broken = claims.find(({ verdict }) => verdict.status === "violation");
      const sentence =
        broken?.verdict.status === "violation" ? broken.verdict.witness.sentence : "";
      t.diagnostic(`seed ${seed}, ${broken?.name}: ${sentence}`);
      assert.equal(hashOf(runScenario(scenarioOf(seed, protocol, mode))), hashOf(recording));
      return;
    }
    assert.fail(`${seedsAtMost} seeds did not catch it`);
  });
}
