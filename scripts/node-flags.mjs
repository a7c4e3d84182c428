/**
 * What the server's Node is started with. V8 lets its nursery grow to 3 × 16 MiB and does not give
 * it back: a server that waits for work would hold some 45 MiB for nothing. `bin/plimsoll` has the
 * same.
 */
export const nodeFlags = ["--max-semi-space-size=8"];
