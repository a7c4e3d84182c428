import { desire, pause, resume } from "../rules/moves.ts";
import type { StepWork } from "./provision.ts";
import { settle, settleAlive, write } from "./settle.ts";

/** Stops a lease's container where it stands. */
export async function pauseStep({ works, tenant, lease, token, runtime }: StepWork): Promise<void> {
  await works.faults.at("leases.pause.intent");
  await runtime.pause(lease.containerId as string);
  await works.faults.at("leases.pause.container");
  await settleAlive(works, tenant, { id: lease.id, token }, async (held) => {
    await write(works, held, pause(held.lease, held.nowMs), {
      action: "lease.paused",
      event: "lease.paused",
    });
  });
}

/** Lets a paused container go on. */
export async function resumeStep({ works, tenant, lease, token, runtime }: StepWork) {
  await works.faults.at("leases.resume.intent");
  await runtime.resume(lease.containerId as string);
  await works.faults.at("leases.resume.container");
  await settleAlive(works, tenant, { id: lease.id, token }, async (held) => {
    await write(works, held, resume(held.lease, held.nowMs), {
      action: "lease.resumed",
      event: "lease.resumed",
    });
  });
}

/** It can't be done: the lease stays as it is, and says why. */
export async function forgetWish(step: StepWork, message: string): Promise<void> {
  const { works, tenant, lease, token } = step;
  await settle(works, tenant, { id: lease.id, token }, async (held) => {
    const desired = held.lease.state === "paused" ? "paused" : "running";
    const moved = desire(held.lease, desired, held.nowMs);
    const freed = { ...moved.lease, stepToken: null, stepUntilMs: null, message };
    await write(
      works,
      held,
      { lease: freed },
      {
        action: "lease.wish_refused",
        event: desired === "paused" ? "lease.paused" : "lease.resumed",
        noted: { message },
      },
    );
  });
}
