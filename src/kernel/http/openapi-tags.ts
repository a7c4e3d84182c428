/** What operations are grouped by: of each service, a line about each of its tags. */
export type Areas = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Of the routes that the kernel has itself. */
const ownAreas: Areas = { server: { health: "Whether the server lives, and what it measures." } };

const withCapital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/**
 * The tags that operations have, in the order in which their services list them, and the groups
 * that the reference page shows them in, one a service (`x-tagGroups`, which readers of OpenAPI
 * have agreed on). A tag that no service lists comes last, without a description.
 */
export function tagsOf(used: ReadonlySet<string>, areas: Areas) {
  const groups = Object.entries({ ...areas, ...ownAreas })
    .map(([service, described]) => ({
      name: withCapital(service),
      tags: Object.entries(described).filter(([name]) => used.has(name)),
    }))
    .filter(({ tags }) => tags.length > 0);
  const listed = new Map(groups.flatMap(({ tags }) => tags));
  for (const name of used) if (!listed.has(name)) listed.set(name, "");
  return {
    tags: [...listed].map(([name, description]) => ({
      name,
      "x-displayName": withCapital(name),
      ...(description !== "" && { description }),
    })),
    "x-tagGroups": groups.map(({ name, tags }) => ({ name, tags: tags.map(([tag]) => tag) })),
  };
}
