/** What a contract says should happen with a change of a stream's shape. */
export const contractModes = ["evolve", "freeze", "discard_row", "discard_value"] as const;
export type ContractMode = (typeof contractModes)[number];

/** The changes that a contract speaks of. */
export const contractEntities = [
  "columnAdded",
  "columnRemoved",
  "columnRenamed",
  "typeChanged",
  "keyLost",
] as const;
export type ContractEntity = (typeof contractEntities)[number];

export type Contract = Readonly<Record<ContractEntity, ContractMode>>;

/** What holds where nobody said otherwise: nothing is dropped, and no key is guessed. */
export const defaultContract: Contract = {
  columnAdded: "evolve",
  columnRemoved: "evolve",
  columnRenamed: "evolve",
  typeChanged: "discard_row",
  keyLost: "freeze",
};

/** What is said of a run goes before what is said of its stream, that before its source's. */
export function resolveContract(levels: {
  run?: Partial<Contract>;
  stream?: Partial<Contract>;
  source?: Partial<Contract>;
}): Contract {
  const { run, stream, source } = levels;
  const mode = (entity: ContractEntity) =>
    run?.[entity] ?? stream?.[entity] ?? source?.[entity] ?? defaultContract[entity];
  return Object.fromEntries(
    contractEntities.map((entity) => [entity, mode(entity)]),
  ) as unknown as Contract;
}

/** Why a record or a value of it could not be kept. */
export const deadLetterCodes = [
  "column_added",
  "column_removed",
  "column_renamed",
  "type_changed",
  "key_lost",
  "too_many_columns",
  "not_a_record",
  "too_large",
  "too_deep",
  "bad_quote",
] as const;
export type DeadLetterCode = (typeof deadLetterCodes)[number];

/** What was not kept, and why. Its raw record is the page's at `index`. */
export interface DeadLetter {
  readonly index: number;
  readonly key: string | null;
  readonly code: DeadLetterCode;
  /** The column, or null where it is the record as a whole. */
  readonly path: string | null;
  /** A `value` has left its record otherwise whole; only whole records count as dead-lettered. */
  readonly scope: "record" | "value";
  readonly message: string;
}

/** One change of a stream's shape that a page has brought. */
export interface SchemaChange {
  readonly entity: ContractEntity | "columnWidened" | "columnReturned";
  readonly column: string;
  /** Of a rename, the new name; of a change of type, the new type. */
  readonly to?: string;
  readonly mode: ContractMode;
  /** In how many of the page's records. */
  readonly records: number;
}
