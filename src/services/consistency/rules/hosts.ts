/** Nodes that stores may name, as `host:port`; a variable of the installation lists them. */
export const hostsVariable = "CONSISTENCY_NODES";

/** The nodes of a list with commas; none where nothing was said, so that nobody reaches inside. */
export function allowedNodesOf(service: Readonly<Record<string, string | undefined>>): Set<string> {
  const listed = (service[hostsVariable] ?? "").split(",").map((one) => one.trim().toLowerCase());
  return new Set(listed.filter((one) => one !== ""));
}
