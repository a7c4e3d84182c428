/**
 * Places that a search has been to: a position, a state and words of bits. Exact, in one flat
 * array, since a Map holds at most 2^24 entries and takes several times the memory.
 */
export interface Memo {
  /** True when the place is new; it is known from then on. False as well once memory is used up. */
  add(position: number, state: number, words: Int32Array): boolean;
  readonly isFull: boolean;
  readonly bytes: number;
}

/** Memory that several searches share. */
export interface MemoryBudget {
  leftBytes: number;
}

const firstEntries = 64;

/** FNV-1a over words, mixed once more. */
function hashOf(words: Int32Array, from: number, to: number): number {
  let hash = 0x811c9dc5;
  for (let at = from; at < to; at += 1) {
    hash = Math.imul(hash ^ words[at]!, 0x01000193);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash, 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}

/** A memo of places with so many words. */
export function createMemo(wordsPerPlace: number, budget: MemoryBudget): Memo {
  const stride = wordsPerPlace + 2;
  let capacity = firstEntries;
  let places = new Int32Array(capacity * stride);
  let slots = new Int32Array(capacity * 2);
  let count = 0;
  let isFull = false;
  const bytesOf = (entries: number) => entries * (stride + 2) * 4;
  budget.leftBytes -= bytesOf(capacity);

  function grow(): boolean {
    const more = bytesOf(capacity * 2) - bytesOf(capacity);
    if (more > budget.leftBytes) return false;
    budget.leftBytes -= more;
    capacity *= 2;
    const wider = new Int32Array(capacity * stride);
    wider.set(places);
    places = wider;
    slots = new Int32Array(capacity * 2);
    for (let entry = 0; entry < count; entry += 1) slots[freeSlot(entry * stride)] = entry + 1;
    return true;
  }

  /** The slot of the place that begins at `start`, or the free one where it belongs. */
  function freeSlot(start: number): number {
    const mask = slots.length - 1;
    let slot = hashOf(places, start, start + stride) & mask;
    for (;;) {
      const entry = slots[slot]!;
      if (entry === 0) return slot;
      const other = (entry - 1) * stride;
      let same = 0;
      while (same < stride && places[other + same] === places[start + same]) same += 1;
      if (same === stride) return slot;
      slot = (slot + 1) & mask;
    }
  }

  return {
    add(position, state, words) {
      if (count === capacity - 1 && !grow()) {
        isFull = true;
        return false;
      }
      const start = count * stride;
      places[start] = position;
      places[start + 1] = state;
      for (let word = 0; word < wordsPerPlace; word += 1) places[start + 2 + word] = words[word]!;
      const slot = freeSlot(start);
      if (slots[slot] !== 0) return false;
      count += 1;
      slots[slot] = count;
      return true;
    },
    get isFull() {
      return isFull;
    },
    get bytes() {
      return bytesOf(capacity);
    },
  };
}
