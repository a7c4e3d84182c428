import { createHash } from "node:crypto";
import { canonicalJson } from "../rules/records.ts";

/** The SHA-256 of a canonical text, by which content is known again; 64 hexadecimal digits. */
export const hashOfText = (canonical: string): string =>
  createHash("sha256").update(canonical).digest("hex");

/** The content hash of a record. */
export const contentHash = (record: unknown): string => hashOfText(canonicalJson(record));
