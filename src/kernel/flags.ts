export interface FlagStatus {
  /** In lower case: `FLAG_NEW_EDITOR` is "new_editor". */
  name: string;
  /** For tenants without an override of their own. */
  on: boolean;
  /** Where `on` comes from. */
  source: "environment" | "override" | "default";
  tenants: { tenantId: string; on: boolean }[];
}

/** Switches, from `FLAG_<NAME>` and overridden in the database for all tenants or for one. */
export interface Flags {
  /** Off when nobody ever said anything. Never waits: at most 5 s behind the database. */
  isOn(name: string, tenantId?: string): boolean;
  list(): FlagStatus[];
  get(name: string): FlagStatus | null;
  /** Null takes the override away. */
  set(name: string, on: boolean | null, tenantId?: string): Promise<void>;
  /** Reads the overrides now. */
  load(): Promise<void>;
  /** Keeps them fresh until `stop`. */
  start(): void;
  stop(): void;
}
