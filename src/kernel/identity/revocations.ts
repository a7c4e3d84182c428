/** Whose credentials end; all that is given must match. */
export interface Revoked {
  readonly userId?: string;
  readonly tenantId?: string;
  readonly sessionId?: string;
  readonly apiKeyId?: string;
}

/**
 * Tells this process at once that credentials have ended; other processes notice when they look
 * again, within 5 s. Announce after COMMIT, or a reader may still cache what was true before.
 */
export interface Revocations {
  announce(revoked: Revoked): void;
  /** Answers how to stop listening. */
  listen(listener: (revoked: Revoked) => void): () => void;
}

/** One for each process. */
export function createRevocations(): Revocations {
  const listeners = new Set<(revoked: Revoked) => void>();
  return {
    announce(revoked) {
      for (const listener of listeners) listener(revoked);
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
