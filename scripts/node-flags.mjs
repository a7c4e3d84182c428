/**
 * What the server's Node is started with. V8 lets its nursery grow to 3 × 16 MiB and does not give
 * it back: a server that waits for work would hold some 45 MiB for nothing. And where a machine has
 * much memory it lets garbage pile up in the rest of the heap: an export of a million orders went
 * through 330 MiB instead of 195, in the same time. `bin/plimsoll` has the same.
 */
export const nodeFlags = ["--max-semi-space-size=8", "--heap-growing-percent=30"];
