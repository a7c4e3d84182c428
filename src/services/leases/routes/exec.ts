import { ById } from "#kernel/http/schemas.ts";
import type { MutatingReply } from "#kernel/http/types.ts";
import type { Routes } from "#kernel/service.ts";
import { whileInUse } from "../changes/access.ts";
import { noteExec } from "../changes/reached.ts";
import { leasesErrors } from "../errors.ts";
import { assertCommand } from "../rules/exec.ts";
import { runtimeErrors } from "../runtimes/errors.ts";
import type { ExecResult } from "../runtimes/types.ts";
import { Exec, execSecondsUsual, NewExec, stdinCharsMost } from "../schemas/exec.ts";
import type { LeasesDeps } from "../types.ts";
import { accessOf, leaseSeats, whenGone } from "./reach.ts";

const outputBytesMax = 1_048_576;
/** JSON may spell a character of standard input in six. */
const bodyBytesMax = 8_388_608;
/** How long a server that stops waits for programs to be ended whose callers it has cut off. */
const endingMs = 2_000;

/** What a request that needs the container to run may be answered with. */
export const reachErrors = [
  leasesErrors.over,
  leasesErrors.wrong_state,
  leasesErrors.busy,
  runtimeErrors.conflict,
  runtimeErrors.gone,
  runtimeErrors.refused,
  runtimeErrors.unavailable,
];

const description = `Waits for its end, counts as use of the lease and is audited, without what \
it reads and writes. A caller that goes away ends its program. There is no terminal and no \
standard input beyond \`stdin\`; bytes of the outputs that are no UTF-8 come as U+FFFD.`;

/** Running programs in containers. */
export const execRoutes: Routes<LeasesDeps> = (app, deps) => {
  const { db, clock } = deps;
  const seats = leaseSeats("programs", { max: 256, perTenantMax: 64, perLeaseMax: 8 });
  const running = new Set<Promise<unknown>>();
  app.addHook("onClose", async () => {
    const patience = new AbortController();
    const late = clock.sleep(endingMs, patience.signal).catch(() => {
      // All were over before.
    });
    await Promise.race([Promise.allSettled(running), late]);
    patience.abort();
  });

  app.post(
    "/leases/:id/exec",
    {
      schema: {
        summary: "Run a program in a lease",
        description,
        params: ById,
        body: NewExec,
        response: { 200: Exec },
      },
      config: {
        permission: "lease:exec",
        bodyLimitBytes: bodyBytesMax,
        stringLimitChars: stdinCharsMost,
        errors: reachErrors,
      },
    },
    async (request, reply) => {
      const { tenant, body, actor, id: requestId } = request;
      const signal = whenGone(reply as MutatingReply);
      assertCommand(body.command);
      const { lease, runtime, containerId } = await accessOf(deps, request, "use", "lease:exec");
      const leave = seats.enter(tenant.id, lease.id);
      const { command, stdin, timeoutSeconds = execSecondsUsual } = body;
      const run = async () => {
        await noteExec(
          db,
          { tenant, lease, on: { actor, requestId } },
          { ...body, timeoutSeconds },
        );
        return whileInUse(deps, tenant, lease.id, () =>
          runtime.exec(containerId, {
            command,
            stdin: stdin === undefined ? null : Buffer.from(stdin),
            timeoutMs: timeoutSeconds * 1_000,
            outputBytesMax,
            signal,
          }),
        );
      };
      const done = run();
      running.add(done);
      try {
        return shown(await done);
      } finally {
        running.delete(done);
        leave();
      }
    },
  );
};

const shown = ({ exitCode, stdout, stderr, truncated, timedOut }: ExecResult): Exec => ({
  exitCode,
  stdout: stdout.toString("utf8"),
  stderr: stderr.toString("utf8"),
  truncated,
  timedOut,
});
