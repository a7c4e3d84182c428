import type { Engine } from "./docker-engine.ts";
import { type ImageFacts, installLabel, nobody } from "./docker-spec.ts";
import { firstFileOf } from "./docker-tar.ts";

/** Marks containers that are made to be looked into, and never started. */
const lookupLabel = "plimsoll.lookup";
const leftAfterSeconds = 600;

/**
 * Who runs the program, as numbers: whom the lease names, else whom the image does, except root.
 * Null where the image gives a name, whose number only its own files say.
 */
export function userOf(asked: string | null, imageUser: string): string | null {
  if (asked !== null) return asked;
  const [name = ""] = imageUser.split(":");
  if (name === "" || name === "root" || /^0+$/.test(name)) return nobody;
  return /^\d+(:\d+)?$/.test(imageUser) ? imageUser : null;
}

/**
 * The numbers of a user in the text of /etc/passwd, with the group that the image names where that
 * is a number; nobody's for a name that is not in it, or that is root's by another name.
 */
export function numbersOf(imageUser: string, passwd: string): string {
  const [name = "", group = ""] = imageUser.split(":");
  const members = passwd.split("\n").map((line) => line.split(":"));
  const entry = members.find(([known, , uid = ""]) => known === name && /^\d+$/.test(uid));
  const uid = /^\d+$/.test(name) ? name : entry?.[2];
  const gid = /^\d+$/.test(group) ? group : entry?.[3];
  if (uid === undefined || Number(uid) === 0) return nobody;
  return /^\d+$/.test(gid ?? "") ? `${Number(uid)}:${Number(gid)}` : `${Number(uid)}:65534`;
}

async function remove(engine: Engine, id: string): Promise<void> {
  await engine.ask("forget a look into an image", {
    method: "DELETE",
    path: `/containers/${id}`,
    query: { force: true, v: true },
    accept: [204, 404, 409],
  });
}

/**
 * The text of an image's /etc/passwd; empty where it has none. Only a container can be looked into.
 */
async function passwdOf(engine: Engine, imageId: string, signal?: AbortSignal): Promise<string> {
  const doing = "look into the image";
  const [key = "", value = ""] = installLabel(engine.options.installId).split("=");
  const { body: made } = await engine.ask<{ Id: string }>(doing, {
    method: "POST",
    path: "/containers/create",
    body: {
      Image: imageId,
      Entrypoint: ["never-started"],
      Labels: { [key]: value, [lookupLabel]: "1" },
      HostConfig: { NetworkMode: "none" },
    },
    signal,
  });
  try {
    const { status, body } = await engine.ask<unknown>(doing, {
      method: "GET",
      path: `/containers/${made.Id}/archive`,
      query: { path: "/etc/passwd" },
      accept: [200, 404],
      signal,
    });
    const isFound = status === 200 && Buffer.isBuffer(body);
    return (isFound ? firstFileOf(body) : null)?.toString("utf8") ?? "";
  } finally {
    await remove(engine, made.Id);
  }
}

/** As `userOf`, looking into the image where it has to; `known` remembers what was found. */
export async function resolveUser(
  engine: Engine,
  { asked, image }: { asked: string | null; image: ImageFacts },
  known: Map<string, string>,
  signal?: AbortSignal,
): Promise<string> {
  const plain = userOf(asked, image.user);
  if (plain !== null) return plain;
  const key = `${image.id} ${image.user}`;
  const numbers = known.get(key) ?? numbersOf(image.user, await passwdOf(engine, image.id, signal));
  known.set(key, numbers);
  return numbers;
}

/** Removes what servers left behind that ended while they looked into an image. */
export async function removeLookups(engine: Engine, nowSeconds: number): Promise<void> {
  const label = [installLabel(engine.options.installId), lookupLabel];
  const { body } = await engine.ask<{ Id: string; Created: number }[]>("list its containers", {
    method: "GET",
    path: "/containers/json",
    query: { all: true, filters: JSON.stringify({ label }) },
  });
  for (const { Id, Created } of body) {
    if (nowSeconds - Created > leftAfterSeconds) await remove(engine, Id);
  }
}
