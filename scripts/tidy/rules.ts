import { checkErrorCatalogue } from "./catalogue.ts";
import { checkCycles, checkDeadFiles, checkLayers } from "./layers.ts";
import { type Finding, readSource, type Source } from "./source.ts";
import {
  checkBarrels,
  checkConsole,
  checkDocblocks,
  checkFunctionLength,
  checkOnly,
  checkPureRules,
  checkSqlInStore,
  checkSwallowing,
} from "./syntax.ts";
import {
  checkColumns,
  checkFileLength,
  checkMigration,
  checkMigrationNumbers,
  checkPromises,
  checkServiceAreas,
  checkServiceNames,
  checkWords,
} from "./text.ts";
import { checkClockAndChance, checkEnvironment } from "./world.ts";

const rulesPerFile: readonly ((source: Source) => Finding[])[] = [
  checkBarrels,
  checkClockAndChance,
  checkColumns,
  checkConsole,
  checkDocblocks,
  checkEnvironment,
  checkFileLength,
  checkFunctionLength,
  checkMigration,
  checkOnly,
  checkPromises,
  checkPureRules,
  checkServiceNames,
  checkSqlInStore,
  checkSwallowing,
];

export interface TidyOptions {
  /** Text of the files that start programs by their path (package.json, scripts of the shell). */
  mentions?: string;
  forbiddenWords?: readonly string[];
}

/** Checks a whole tree, given as path → text; the findings come sorted by place. */
export function tidy(files: ReadonlyMap<string, string>, options: TidyOptions = {}): Finding[] {
  const sources = [...files].map(([path, text]) => readSource(path, text));
  const findings = [
    ...sources.flatMap((source) => rulesPerFile.flatMap((check) => check(source))),
    ...sources.flatMap((source) => checkWords(source, options.forbiddenWords ?? [])),
    ...checkCycles(sources),
    ...checkDeadFiles(sources, options.mentions ?? ""),
    ...checkErrorCatalogue(sources),
    ...checkLayers(sources),
    ...checkMigrationNumbers(sources),
    ...checkServiceAreas(sources),
  ];
  return findings.sort((left, right) => {
    return left.path.localeCompare(right.path, "en") || left.line - right.line;
  });
}
