/**
 * What the server's Node is started with; `bin/plimsoll` has the same. Where a machine has much
 * memory, V8 lets garbage pile up in the heap: an export of a million orders went through 330 MiB
 * instead of 195, in the same time. And the nursery does not shrink by itself: a server that waits
 * for work would keep what starting took, which `src/main.ts` gives back by collecting once.
 */
export const nodeFlags = ["--max-semi-space-size=16", "--heap-growing-percent=30", "--expose-gc"];
