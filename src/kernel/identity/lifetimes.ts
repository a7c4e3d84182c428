const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

export const accessTokenTtlMs = 15 * minuteMs;
/** Between the clocks of servers that sign and servers that verify. */
export const clockToleranceMs = 5_000;
/** A refresh token not used for so long is dead… */
export const refreshTokenTtlMs = 30 * dayMs;
/** …and so is a session of this age, however often it was refreshed. */
export const sessionTtlMs = 90 * dayMs;
/** How long an answer is kept for the same request, sent again. */
export const keptAnswerTtlMs = dayMs;
export const invitationTtlMs = 7 * dayMs;
/** The longest that an API key with an expiry may live. */
export const apiKeyTtlAtMostMs = 5 * 365 * dayMs;
