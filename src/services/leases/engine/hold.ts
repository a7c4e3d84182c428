import { signOfLifeMs, type Works } from "./works.ts";

/** Says that a step goes on; false: somebody else has it, or nobody needs it any more. */
type Extend = () => Promise<boolean>;

/**
 * Does a step while saying again and again that it goes on. Its signal is aborted as soon as the
 * step turns out to be somebody else's, or the process is to stop: what it does afterwards finds
 * its token gone and is not written down.
 */
export async function whileHeld<T>(
  { clock, log, stopping }: Pick<Works, "clock" | "log" | "stopping">,
  extend: Extend,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const lost = new AbortController();
  const beat = async () => {
    for (;;) {
      await clock.sleep(signOfLifeMs, over.signal);
      const isHeld = await extend().catch((error) => {
        log.warn({ err: error }, "a step could not say that it goes on");
        return true;
      });
      if (!isHeld) return lost.abort(new Error("The step is not ours any more"));
    }
  };
  // Ends by the signal, when the work is done.
  beat().catch(() => {});
  try {
    return await work(AbortSignal.any([lost.signal, stopping]));
  } finally {
    over.abort();
  }
}
