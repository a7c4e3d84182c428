import type { Clock } from "#kernel/clock.ts";
import { feedsErrors } from "../errors.ts";

/**
 * The same parts, as long as they keep coming: a body that stands still for `idleMs` breaks off
 * with `source_slow`, whatever the time that the whole of it may take. The time that the reader
 * itself takes does not count.
 */
export async function* steady(
  parts: AsyncIterable<Uint8Array>,
  idleMs: number,
  clock: Pick<Clock, "sleep">,
): AsyncGenerator<Buffer> {
  const iterator = parts[Symbol.asyncIterator]();
  try {
    for (;;) {
      const result = await within(iterator.next(), idleMs, clock);
      if (result === null) {
        const detail = `Nothing arrived for ${idleMs} ms in the middle of an answer.`;
        throw feedsErrors.source_slow({ detail });
      }
      if (result.done) return;
      yield Buffer.from(result.value);
    }
  } finally {
    // A body that stands still does not answer; nobody waits for it.
    void iterator.return?.()?.then(undefined, () => {});
  }
}

/** What a promise becomes, or null where it has not after `ms`. */
async function within<Value>(
  promise: Promise<Value>,
  ms: number,
  clock: Pick<Clock, "sleep">,
): Promise<Value | null> {
  const done = new AbortController();
  const late = clock.sleep(ms, done.signal).then(
    () => null,
    () => null,
  );
  // If the time is up first, nobody hears how the promise ends.
  promise.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    done.abort();
  }
}
