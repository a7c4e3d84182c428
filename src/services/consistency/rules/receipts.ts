import { op } from "./history.ts";
import { isAnsweredRead, isUpdate, mayApply, type Prepared } from "./prepared.ts";
import { held, undecided, type Verdict, violated, type Witness, witnessOf } from "./verdict.ts";
import { newerThan, type VersionOrder, versionText } from "./version-order.ts";
import { keyText, operationText } from "./words.ts";

/**
 * Whether the versions that were told can be trusted: each belongs to one update, and who read it
 * got what that update wrote. All checks that go by versions stand on this. O(n log n).
 */
export function checkReceipts(prepared: Prepared, order: VersionOrder): Verdict {
  const { history, versions } = prepared;
  if (versions.count === 0) return undecided(0, "no operation carries a version");
  const broken: Witness[] = [];
  let [checked, found] = [0, 0];
  const note = (witness: Witness | null) => {
    if (witness === null) return;
    found += 1;
    if (broken.length === 0) broken.push(witness);
  };
  const writeOf = new Int32Array(versions.count + 1).fill(-1);
  for (const at of prepared.byCall) {
    if (versions.rank[at]! < 0) continue;
    checked += 1;
    if (mayApply(history, at)) note(sharedVersion(prepared, writeOf, at));
    else if (isAnsweredRead(history, at)) note(misreadVersion(prepared, order, at));
  }
  return broken[0] ? violated(checked, broken[0], found) : held(checked);
}

/** Two updates of one version: of the store, or of the key where each has a log of its own. */
function sharedVersion(prepared: Prepared, writeOf: Int32Array, at: number): Witness | null {
  const { history, versions, writeByVersion } = prepared;
  const rank = versions.rank[at]!;
  const isPerKey = history.meta.versions === "key";
  const other = isPerKey ? writeByVersion.get(history.key[at]!, rank) : writeOf[rank]!;
  if (other < 0 || other === at) {
    writeOf[rank] = at;
    return null;
  }
  const sentence =
    `${operationText(history, other)} and ${operationText(history, at)} ` +
    `were both given the version ${versionText(history, at)}.`;
  return witnessOf(history, [other, at], sentence);
}

/** A read whose version belongs to an update that wrote something else, or to none of its key. */
function misreadVersion(prepared: Prepared, order: VersionOrder, at: number): Witness | null {
  const { history, versions, source, writeByVersion, rank } = prepared;
  const key = history.key[at]!;
  const told = versions.rank[at]!;
  const named = writeByVersion.get(key, told);
  if (named >= 0) {
    const isSame = history.op[named] === op.append || history.value[named] === history.value[at];
    if (isSame) return null;
    const write = `the version of ${operationText(history, named)}`;
    return witnessOf(history, [named, at], misread(prepared, at, write));
  }
  const from = source[at]!;
  // What came from nowhere is told of by the check of integrity.
  if (from < 0 && history.value[at] !== history.initial) return null;
  const isOwn = from >= 0 && isUpdate(history, from) && rank[from] === told;
  const isBeforeAll =
    history.value[at] === history.initial &&
    newerThan(prepared, order, key, told) === order.starts[key];
  if (isOwn || isBeforeAll) return null;
  if (from < 0) return witnessOf(history, [at], misread(prepared, at, "which no update has"));
  const write = `but ${operationText(history, from)} has ${versionText(history, from)}`;
  return witnessOf(history, [from, at], misread(prepared, at, write));
}

function misread({ history }: Prepared, at: number, why: string): string {
  const read = `${operationText(history, at)}${keyText(history, at)}`;
  return `${read} was told version ${versionText(history, at)}, ${why}.`;
}
