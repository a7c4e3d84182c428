import type { FaultSpec } from "../engines/types.ts";
import { consistencyErrors } from "../errors.ts";
import type { NewFault } from "../schemas/faults.ts";

const membersOf = {
  partition: ["groups"],
  cut: ["from", "to"],
  delay: ["replicas", "delayMs"],
  loss: ["replicas", "ratio"],
  crash: ["replicas"],
  clock_jump: ["replicas", "jumpMs"],
  slow_disk: ["replicas", "delayMs"],
} as const satisfies Record<FaultSpec["kind"], readonly (keyof NewFault)[]>;

const refuse = (path: string, detail: string, message: string) =>
  consistencyErrors.bad_fault({ detail, errors: [{ path, message }] });

/** A fault as an engine takes it; `at` is where it stands in the body. Throws `bad_fault`. */
export function faultOf(given: NewFault, replicas: readonly string[], at = ""): FaultSpec {
  const members: readonly string[] = membersOf[given.kind];
  for (const name of Object.keys(given)) {
    if (name === "kind" || members.includes(name)) continue;
    const detail = `A ${given.kind} has no "${name}"; it has ${members.join(", ")}.`;
    throw refuse(`${at}/${name}`, detail, "must be left out");
  }
  for (const name of members) {
    if (name in given) continue;
    throw refuse(`${at}/${name}`, `A ${given.kind} needs "${name}".`, "must be given");
  }
  assertReplicas(given, replicas, at);
  return given as FaultSpec;
}

function assertReplicas(given: NewFault, known: readonly string[], at: string): void {
  const check = (name: string, path: string) => {
    if (known.includes(name)) return;
    const detail = `There is no replica "${name}"; there are ${known.join(", ")}.`;
    throw refuse(`${at}${path}`, detail, "must be a replica's name");
  };
  given.replicas?.forEach((name, number) => check(name, `/replicas/${number}`));
  if (given.from !== undefined) check(given.from, "/from");
  if (given.to !== undefined) check(given.to, "/to");
  const seen = new Set<string>();
  given.groups?.forEach((group, number) => {
    group.forEach((name, place) => {
      const path = `/groups/${number}/${place}`;
      check(name, path);
      if (seen.has(name)) {
        throw refuse(`${at}${path}`, `"${name}" is in two groups.`, "must be in one group only");
      }
      seen.add(name);
    });
  });
}
