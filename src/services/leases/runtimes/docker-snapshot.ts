import { createHash } from "node:crypto";
import type { Engine } from "./docker-engine.ts";
import type { EngineFacts } from "./docker-facts.ts";
import { type ImageInspection, inspectImage } from "./docker-images.ts";
import type { Inspection } from "./docker-isolation.ts";
import { installLabel } from "./docker-spec.ts";
import { tarOf } from "./docker-tar.ts";
import { runtimeErrors } from "./errors.ts";
import type { KeptImage, SnapshotRequest, TakenSnapshot } from "./types.ts";

const commitMsMax = 600_000;

const repositoryOf = (installId: string, tenantId: string): string =>
  `plimsoll/${installId}/${tenantId}`;

/** What a snapshot is called; a tenant's own, so that no other tenant's name leads to it. */
export function snapshotNames(installId: string, { tenantId, snapshotId }: SnapshotRequest) {
  const repository = repositoryOf(installId, tenantId);
  return {
    image: `${repository}/snapshot:${snapshotId}`,
    draft: `${repository}/draft:${snapshotId}`,
  };
}

/** What the name of an image says that is a snapshot of the installation or a draft; else null. */
export function keptImageOf(installId: string, image: string): KeptImage | null {
  const [prefix, install, tenantId = "", rest = "", ...more] = image.split("/");
  const [, kind, snapshotId = ""] = /^(snapshot|draft):([\w.-]+)$/.exec(rest) ?? [];
  const isOurs = prefix === "plimsoll" && install === installId && more.length === 0;
  if (!isOurs || kind === undefined || tenantId === "") return null;
  return { image, tenantId, snapshotId, isDraft: kind === "draft" };
}

const nameOf = (variable: string): string => variable.split("=", 1)[0] ?? "";

/** Members of an image's configuration that are a program's to run, and none that are a secret. */
function cleanConfig(image: ImageInspection, scrubEnv: readonly string[]) {
  const config = image.Config ?? {};
  const labels = Object.entries(config.Labels ?? {}).filter(
    ([key]) => !key.startsWith("plimsoll."),
  );
  return {
    ...(config.User && { User: config.User }),
    ...(config.WorkingDir && { WorkingDir: config.WorkingDir }),
    ...(config.Entrypoint && { Entrypoint: config.Entrypoint }),
    ...(config.Cmd && { Cmd: config.Cmd }),
    ...(config.StopSignal && { StopSignal: config.StopSignal }),
    ...(labels.length > 0 && { Labels: Object.fromEntries(labels) }),
    Env: (config.Env ?? []).filter((each) => !scrubEnv.includes(nameOf(each))),
  };
}

/**
 * An archive for `POST /images/load` that makes an image of layers which the engine has already: a
 * configuration that names them, and no layer. The engine finds them by what is in them.
 */
export function imageArchive(
  draft: ImageInspection,
  name: string,
  scrubEnv: readonly string[],
): Buffer {
  const layers = draft.RootFS.Layers ?? [];
  const created = draft.Created ?? "1970-01-01T00:00:00Z";
  const config = JSON.stringify({
    architecture: draft.Architecture,
    ...(draft.Variant && { variant: draft.Variant }),
    os: draft.Os,
    created,
    config: cleanConfig(draft, scrubEnv),
    rootfs: { type: "layers", diff_ids: layers },
    history: layers.map(() => ({ created, created_by: "plimsoll" })),
  });
  const file = `${createHash("sha256").update(config).digest("hex")}.json`;
  const paths = layers.map((_, index) => `${index}/layer.tar`);
  const manifest = JSON.stringify([{ Config: file, RepoTags: [name], Layers: paths }]);
  return tarOf([
    { name: file, content: Buffer.from(config), mode: 0o644 },
    { name: "manifest.json", content: Buffer.from(manifest), mode: 0o644 },
  ]);
}

async function removeImage(engine: Engine, image: string): Promise<void> {
  await engine.ask("remove an image", {
    method: "DELETE",
    path: `/images/${image}`,
    query: { force: true },
    accept: [200, 404],
    deadlineMs: 60_000,
    lane: "waits",
  });
}

/** Whether any of the engine's words about an image still has one of the names, with a value. */
function holdsSecret(image: unknown, scrubEnv: readonly string[]): boolean {
  const text = JSON.stringify(image);
  return scrubEnv.some((name) => new RegExp(`"${name}=[^"]`).test(text));
}

async function commit(engine: Engine, id: string, image: string, scrubEnv: readonly string[]) {
  const colon = image.lastIndexOf(":");
  await engine.ask("take a snapshot", {
    method: "POST",
    path: "/commit",
    query: {
      container: id,
      repo: image.slice(0, colon),
      tag: image.slice(colon + 1),
      pause: true,
      changes: scrubEnv.map((name) => `ENV ${name}=`),
    },
    deadlineMs: commitMsMax,
    lane: "waits",
  });
}

/**
 * The engine's own image store keeps a second configuration in each committed image, the
 * container's, with every variable; no option leaves it out. So what was committed is only a draft:
 * the snapshot is another image of the same layers with a configuration of ours, and the draft
 * goes.
 */
async function redraft(
  engine: Engine,
  { image, draft }: ReturnType<typeof snapshotNames>,
  scrubEnv: readonly string[],
): Promise<void> {
  const committed = await inspectImage(engine, draft);
  if (committed === null) {
    throw runtimeErrors.conflict({ detail: "The snapshot was removed while it was taken." });
  }
  const said = await engine.ask<string>("take a snapshot", {
    method: "POST",
    path: "/images/load",
    query: { quiet: true },
    archive: imageArchive(committed, image, scrubEnv),
    asText: true,
    deadlineMs: commitMsMax,
    lane: "waits",
  });
  if (said.body.includes('"error"')) {
    const cause = new Error(said.body);
    const detail = "The engine does not take an image of layers that it has.";
    throw runtimeErrors.refused({ cause, detail });
  }
}

async function sizeBeyond(engine: Engine, image: ImageInspection, baseId: string) {
  const base = await inspectImage(engine, baseId);
  return Math.max(0, image.Size - (base?.Size ?? 0));
}

/**
 * Makes an image of a container's file system, without the values of the variables named, in the
 * image's configuration or elsewhere in it. Asked again for the same snapshot, it finds it.
 */
export async function takeSnapshot(
  engine: Engine,
  facts: EngineFacts,
  container: Inspection,
  request: SnapshotRequest,
): Promise<TakenSnapshot> {
  const { scrubEnv } = request;
  if (!scrubEnv.every((name) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name))) {
    throw runtimeErrors.refused({ detail: "A name to leave out is not a variable's." });
  }
  if (container.HostConfig.ReadonlyRootfs) {
    const detail = "A read-only container has nothing to keep; its template must say writable.";
    throw runtimeErrors.refused({ detail });
  }
  const names = snapshotNames(engine.options.installId, request);
  const { image, draft } = names;
  if ((await inspectImage(engine, image)) === null) {
    try {
      const isOne = facts.keepsImagesInContainerd;
      // A draft of somebody who was killed would lose its name to ours, and stay for good.
      if (!isOne) await removeImage(engine, draft);
      await commit(engine, container.Id, isOne ? image : draft, scrubEnv);
      if (!isOne) await redraft(engine, names, scrubEnv);
    } finally {
      await removeImage(engine, draft);
    }
  }
  const taken = await inspectImage(engine, image);
  if (taken === null) {
    throw runtimeErrors.conflict({ detail: "The snapshot was removed while it was taken." });
  }
  if (holdsSecret(taken, scrubEnv)) {
    await removeImage(engine, image);
    const detail = "The engine keeps values in snapshots that must not be in them.";
    throw runtimeErrors.refused({ detail });
  }
  return { image, sizeBytes: await sizeBeyond(engine, taken, container.Image) };
}

/** Removes a snapshot or a draft; done where it is gone. Refuses to remove any other image. */
export async function dropSnapshot(engine: Engine, image: string): Promise<void> {
  if (keptImageOf(engine.options.installId, image) === null || image.includes("..")) {
    throw runtimeErrors.refused({ detail: `"${image}" is no snapshot of this installation.` });
  }
  await removeImage(engine, image);
}

interface ListedImage {
  readonly Id: string;
  readonly RepoTags?: readonly string[] | null;
  readonly Created: number;
}

const imagesWith = async (engine: Engine, filters: Record<string, readonly string[]>) => {
  const query = { filters: JSON.stringify(filters) };
  const request = { method: "GET", path: "/images/json", query } as const;
  return (await engine.ask<ListedImage[]>("list its images", request)).body;
};

/** Snapshots and drafts of the installation, whoever wants them. */
export async function listKept(engine: Engine): Promise<KeptImage[]> {
  const { installId } = engine.options;
  const kinds = ["snapshot", "draft"].map((kind) => `plimsoll/${installId}/*/${kind}`);
  const listed = await imagesWith(engine, { reference: kinds });
  return listed
    .flatMap(({ RepoTags }) => RepoTags ?? [])
    .map((tag) => keptImageOf(installId, tag))
    .filter((kept) => kept !== null);
}

const namelessSecondsMin = 3_600;

/** Removes drafts that have lost their names to others, after the longest that any is needed. */
export async function removeNameless(engine: Engine, nowSeconds: number): Promise<void> {
  const label = [installLabel(engine.options.installId)];
  for (const { Id, Created } of await imagesWith(engine, { dangling: ["true"], label })) {
    if (nowSeconds - Created > namelessSecondsMin) await removeImage(engine, Id);
  }
}
