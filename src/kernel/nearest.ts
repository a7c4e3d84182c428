/**
 * The known names most like a wrong one, the likest first: for "did you mean" in a refusal. By the
 * number of letters to add, drop or change (V. Levenshtein, 1966).
 */
export function nearest(wrong: string, known: Iterable<string>, most = 3): string[] {
  const start = wrong.slice(0, nameCharsMost).toLowerCase();
  return [...known]
    .map((name) => ({ name, distance: distance(start, name) }))
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, most)
    .map(({ name }) => name);
}

/** What a stranger sends is compared no further than any of our names goes. */
const nameCharsMost = 100;

function distance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1];
      const changed = (above[column - 1] as number) + (same ? 0 : 1);
      const dropped = (above[column] as number) + 1;
      const added = (current[column - 1] as number) + 1;
      current.push(Math.min(changed, dropped, added));
    }
    above = current;
  }
  return above[b.length] as number;
}
