/** Something that can be worked on, known by its key. */
export interface Hands<Wanted> {
  /**
   * Works on it now, once more after what is being done to it, or when there is a free hand; what
   * is beyond the queue is left to the sweep. Undefined where nothing is begun now.
   */
  take(wanted: Wanted): Promise<void> | undefined;
  /** How many more could be taken on at once. */
  free(): number;
  /** Resolves when nothing is under way. */
  settled(): Promise<void>;
  /** Takes on nothing more. */
  close(): void;
}

export interface HandsOptions<Wanted> {
  readonly atOnceMost: number;
  readonly queuedMost: number;
  keyOf(wanted: Wanted): string;
  /** Never rejects. */
  work(wanted: Wanted): Promise<void>;
}

/** A bounded number of hands, none of which works on what another one has. */
export function createHands<Wanted>(options: HandsOptions<Wanted>): Hands<Wanted> {
  const { atOnceMost, queuedMost, keyOf, work } = options;
  const running = new Map<string, Promise<void>>();
  const again = new Set<string>();
  const queue = new Map<string, Wanted>();
  let isClosed = false;

  const start = (key: string, wanted: Wanted): Promise<void> => {
    const done = work(wanted).finally(() => {
      running.delete(key);
      if (again.delete(key)) void take(wanted);
      next();
    });
    running.set(key, done);
    return done;
  };

  const take = (wanted: Wanted): Promise<void> | undefined => {
    const key = keyOf(wanted);
    if (isClosed) return undefined;
    if (running.has(key)) {
      again.add(key);
      return running.get(key);
    }
    if (running.size < atOnceMost) return start(key, wanted);
    if (queue.size < queuedMost) queue.set(key, wanted);
    return undefined;
  };

  const next = () => {
    for (const [key, wanted] of queue) {
      if (running.size >= atOnceMost) return;
      queue.delete(key);
      void take(wanted);
    }
  };

  return {
    take,
    free: () => Math.max(0, atOnceMost - running.size),
    async settled() {
      while (running.size > 0) await Promise.all(running.values());
    },
    close() {
      isClosed = true;
      queue.clear();
    },
  };
}
