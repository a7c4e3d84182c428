/** What a signing key's seal is bound to: one that is moved to another row does not open. */
export const signingKeyContext = (kid: string): string => `signing-key:${kid}`;

/** What a kept answer's seal is bound to. */
export const keptAnswerContext = (scope: Buffer): string => `kept-answer:${scope.toString("hex")}`;

/** What a ticket's seal is bound to: the address that it opens. */
export const ticketContext = (path: string): string => `ticket:${path.toLowerCase()}`;

/** What a second factor's seal is bound to. */
export const totpContext = (userId: string): string => `totp:${userId}`;
