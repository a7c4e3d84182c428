import { CommandError } from "./errors.ts";
import { given } from "./options.ts";
import type { Column } from "./table.ts";
import type { CommandSpec } from "./types.ts";

const columns: readonly Column[] = [
  { title: "Kind", value: "kind" },
  { title: "Tenant", value: "tenantId" },
  { title: "Lease", value: "leaseId" },
  { title: "Container", value: "containerName" },
  { title: "What", value: "detail" },
];

interface Report extends Record<string, unknown> {
  containers: number;
  leases: number;
  items: Record<string, unknown>[];
  unreachable: string[];
}

interface Repaired {
  repaired: Record<string, unknown>[];
  failed: { item: Record<string, unknown>; problem: string }[];
}

/** Longer than the server takes to look at every container. */
const timeoutMs = 150_000;

const repair: CommandSpec = {
  name: "repair",
  summary: "repair where containers and leases differ",
  options: [
    { flags: "--tenant-id <id>", summary: "only what is this tenant's" },
    { flags: "--kind <kind>", summary: "only differences of this kind" },
    { flags: "--container-id <id>", summary: "only this container" },
  ],
  async run({ client, options, out }) {
    const body = given(options, ["tenantId", "kind", "containerId"]);
    const at = "/admin/leases/drift/repair";
    const answer = await client.call<Repaired>({ method: "POST", path: at, body, timeoutMs });
    const { repaired, failed } = answer;
    out.result(answer, () => {
      const items = [
        ...repaired,
        ...failed.map(({ item, problem }) => ({ ...item, detail: problem })),
      ];
      if (items.length > 0) out.page(columns, { items, nextCursor: null });
      out.success(`Repaired ${repaired.length}`);
    });
    if (failed.length > 0) throw new CommandError(`${failed.length} could not be repaired`);
  },
};

/** Where containers and leases differ, of every tenant. */
export const drift: CommandSpec = {
  name: "drift",
  summary: "see where containers and leases differ",
  help: "What is shown is repaired by itself within a minute, or at once by `drift repair`.",
  commands: [repair],
  async run({ client, out }) {
    const report = await client.call<Report>({ path: "/admin/leases/drift", timeoutMs });
    const { containers, leases, items, unreachable } = report;
    out.result(report, () => {
      if (items.length > 0) out.page(columns, { items, nextCursor: null });
      out.note(`Looked at ${containers} containers and ${leases} leases: ${items.length} differ.`);
    });
    if (unreachable.length === 0) return;
    throw new CommandError(`No answer came from ${unreachable.join(", ")}`);
  },
};
