/** What a signing key's seal is bound to: one that is moved to another row does not open. */
export const signingKeyContext = (kid: string): string => `signing-key:${kid}`;

/** What a second factor's seal is bound to. */
export const totpContext = (userId: string): string => `totp:${userId}`;
