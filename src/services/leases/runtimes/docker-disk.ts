import type { Engine } from "./docker-engine.ts";
import { diskLabel, diskMbIn, identityOf, installLabel } from "./docker-spec.ts";

const measureMsMax = 60_000;
const bytesPerMb = 2 ** 20;

interface Measured {
  readonly Id: string;
  readonly Names?: readonly string[] | null;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly SizeRw?: number;
}

/**
 * Ends writable containers that have written more than they may. Most engines have no quota for
 * their storage, so it is a watch and no fence: what is written between two looks is written.
 */
export async function endOverfull(engine: Engine): Promise<void> {
  const { installId, log } = engine.options;
  const { body } = await engine.ask<Measured[]>("measure its containers", {
    method: "GET",
    path: "/containers/json",
    query: {
      size: true,
      filters: JSON.stringify({
        status: ["running"],
        label: [installLabel(installId), diskLabel],
      }),
    },
    deadlineMs: measureMsMax,
    lane: "waits",
  });
  for (const { Id, Names, Labels, SizeRw = 0 } of body) {
    const name = Names?.[0]?.replace(/^\//, "") ?? "";
    const mostMb = diskMbIn(Labels);
    if (mostMb === null || SizeRw <= mostMb * bytesPerMb) continue;
    if (identityOf(Labels, name)?.installId !== installId) continue;
    log.warn({ container: name, mostMb, bytes: SizeRw }, "a container has written too much");
    const accept = [204, 404, 409];
    const path = `/containers/${Id}/kill`;
    await engine.ask("end a container", { method: "POST", path, accept, lane: "work" });
  }
}
