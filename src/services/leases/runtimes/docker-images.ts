import { posix } from "node:path";
import type { Engine } from "./docker-engine.ts";
import { statusOf } from "./docker-errors.ts";
import type { ImageFacts } from "./docker-spec.ts";
import { runtimeErrors } from "./errors.ts";

/** The part of the engine's `GET /images/{name}/json` that is read. */
export interface ImageInspection {
  readonly Id: string;
  readonly Created?: string;
  readonly Architecture: string;
  readonly Variant?: string;
  readonly Os: string;
  readonly Size: number;
  readonly RootFS: { readonly Type: string; readonly Layers?: readonly string[] };
  readonly Config: {
    readonly User?: string;
    readonly WorkingDir?: string;
    readonly Env?: readonly string[] | null;
    readonly Cmd?: readonly string[] | null;
    readonly Entrypoint?: readonly string[] | null;
    readonly Volumes?: Readonly<Record<string, object>> | null;
    readonly Labels?: Readonly<Record<string, string>> | null;
    readonly StopSignal?: string;
  } | null;
}

const pullMsMax = 600_000;

/**
 * Names of images as the engine takes them, a digest's included; checked, as it goes into a path.
 */
const reference = /^[a-zA-Z0-9][\w.:/@-]{0,511}$/;

function checkReference(image: string): void {
  if (reference.test(image) && !image.includes("..") && !image.includes("//")) return;
  throw runtimeErrors.image_missing({ detail: `"${image}" is not the name of an image.` });
}

/** What the engine knows of an image; null where it has none of this name. */
export async function inspectImage(
  engine: Engine,
  image: string,
  signal?: AbortSignal,
): Promise<ImageInspection | null> {
  checkReference(image);
  const { status, body } = await engine.ask<ImageInspection>("look up the image", {
    method: "GET",
    path: `/images/${image}/json`,
    accept: [200, 404],
    signal,
  });
  return status === 404 ? null : body;
}

/** The part of a reference that says which of a repository's images: its tag or digest. */
export function splitReference(image: string): { repository: string; tag: string } {
  const at = image.indexOf("@");
  if (at !== -1) return { repository: image.slice(0, at), tag: image.slice(at + 1) };
  const colon = image.lastIndexOf(":");
  if (colon > image.lastIndexOf("/")) {
    return { repository: image.slice(0, colon), tag: image.slice(colon + 1) };
  }
  return { repository: image, tag: "latest" };
}

/** Snapshots and ids are the engine's own: no registry has them. */
const isFetched = (image: string): boolean => !/^(plimsoll\/|sha256:)/.test(image);

/** Fetches an image from its registry, as anybody may. What the engine reports is its last line. */
async function pull(engine: Engine, image: string, signal?: AbortSignal): Promise<void> {
  const { repository, tag } = splitReference(image);
  const missing = (cause: unknown) => {
    const detail = `The engine has no image "${image}" and could not fetch it from its registry.`;
    return runtimeErrors.image_missing({ cause, detail });
  };
  try {
    const { body } = await engine.ask<string>("fetch the image", {
      method: "POST",
      path: "/images/create",
      query: { fromImage: repository, tag },
      asText: true,
      deadlineMs: pullMsMax,
      lane: "waits",
      signal,
    });
    const fault = body.split("\n").find((line) => line.includes('"error"'));
    if (fault !== undefined) throw missing(new Error(fault));
  } catch (error) {
    if (signal?.aborted || statusOf(error) === null) throw error;
    throw missing(error);
  }
}

function factsOf({ Id, Config }: ImageInspection): ImageFacts {
  const { User = "", WorkingDir = "", Env, Volumes } = Config ?? {};
  return {
    id: Id,
    user: User,
    workingDir: WorkingDir,
    envNames: (Env ?? []).map((each) => each.split("=", 1)[0] ?? ""),
    volumes: Object.keys(Volumes ?? {}).map((path) =>
      posix.normalize(`/${path}`).replace(/(?<=.)\/$/, ""),
    ),
  };
}

/**
 * What is known of an image, fetched from its registry where the engine doesn't have it. Containers
 * are made of the id that comes back, so a name that is moved meanwhile changes nothing.
 */
export async function ensureImage(
  engine: Engine,
  image: string,
  signal?: AbortSignal,
): Promise<ImageFacts> {
  const there = await inspectImage(engine, image, signal);
  if (there !== null) return factsOf(there);
  if (!isFetched(image)) {
    throw runtimeErrors.image_missing({ detail: `The engine has no image "${image}".` });
  }
  await pull(engine, image, signal);
  const fetched = await inspectImage(engine, image);
  if (fetched === null) {
    throw runtimeErrors.image_missing({ detail: `The image "${image}" vanished again.` });
  }
  return factsOf(fetched);
}
