import type { EngineToken } from "../engines/types.ts";

/** What a session token says, before it is sealed. */
export interface SessionToken {
  /** The session, as the history calls it. */
  readonly session: string;
  /** Grows with each answer, so that a token used twice is known for what it is. */
  readonly step: number;
  readonly generation: number;
  readonly engine: EngineToken;
}

/** For what it is sealed: another tenant's or store's does not open. */
export const sessionContext = (tenantId: string, storeId: string): string =>
  `consistency/session/${tenantId}/${storeId}`;

/** A token as the text that is sealed. */
export const textOfToken = ({ session, step, generation, engine }: SessionToken): string =>
  JSON.stringify([session, step, generation, engine.version, engine.vector]);

/** The token of a text that we have sealed ourselves. */
export function tokenOfText(text: string): SessionToken {
  const [session, step, generation, version, vector] = JSON.parse(text);
  return { session, step, generation, engine: { version, vector } };
}
