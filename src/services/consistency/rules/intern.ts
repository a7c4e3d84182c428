import type { Value } from "./history.ts";

/** Names as small numbers, in the order in which they were first met. */
export interface Names {
  readonly list: string[];
  numberOf(name: string): number;
}

/** An empty list of names. */
export function createNames(): Names {
  const numbers = new Map<string, number>();
  const list: string[] = [];
  return {
    list,
    numberOf(name) {
      const known = numbers.get(name);
      if (known !== undefined) return known;
      numbers.set(name, list.length);
      list.push(name);
      return list.length - 1;
    },
  };
}

/** Many different texts as numbers, in the order in which they came. */
export interface Texts {
  readonly list: string[];
  /** The number of the text; a new text gets `list.length`. */
  numberOf(text: string): number;
}

const firstTextSlots = 512;
const probesAtMost = 64;

function hashOfText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash ^ (hash >>> 15);
}

/**
 * An empty table. Millions of texts take a third of the time and memory that a Map needs; a Map
 * takes over where texts were chosen so that they collide.
 */
export function createTexts(): Texts {
  const list: string[] = [];
  let slots = new Int32Array(firstTextSlots).fill(-1);
  let hashes = new Int32Array(firstTextSlots >> 1);
  let map: Map<string, number> | null = null;

  /** Where the text is, or belongs; -1 when that takes too long to find. */
  function slotOf(hash: number, text: string | null): number {
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let probes = 0; probes < probesAtMost; probes += 1) {
      const number = slots[slot]!;
      if (number === -1 || (hashes[number] === hash && list[number] === text)) return slot;
      slot = (slot + 1) & mask;
    }
    return -1;
  }

  const useMap = () => {
    map = new Map(list.map((text, number) => [text, number]));
  };

  function grow(): void {
    slots = new Int32Array(slots.length * 2).fill(-1);
    const wider = new Int32Array(hashes.length * 2);
    wider.set(hashes);
    hashes = wider;
    for (let number = 0; number < list.length; number += 1) {
      // All are different: only the next free slot is sought.
      const slot = slotOf(hashes[number]!, null);
      if (slot < 0) return useMap();
      slots[slot] = number;
    }
  }

  return {
    list,
    numberOf(text) {
      const hash = map ? 0 : hashOfText(text);
      const slot = map ? -1 : slotOf(hash, text);
      const known = map?.get(text) ?? (slot < 0 ? -1 : slots[slot]!);
      if (known >= 0) return known;
      const number = list.push(text) - 1;
      if (map) map.set(text, number);
      else if (slot < 0) useMap();
      else {
        slots[slot] = number;
        hashes[number] = hash;
        if (list.length * 2 >= slots.length) grow();
      }
      return number;
    },
  };
}

/** Values as small numbers; null, which means that nothing is there, is 0. */
export interface Values {
  readonly list: Value[];
  numberOf(value: Value): number;
}

/** Only null so far. Lists and objects are the same value when their JSON is the same text. */
export function createValues(): Values {
  const list: Value[] = [null];
  const plain = new Map<Value, number>([[null, 0]]);
  const composed = new Map<string, number>();
  const texts = createTexts();
  const numbersOfTexts: number[] = [];
  const remember = (value: Value) => list.push(value) - 1;
  return {
    list,
    numberOf(value) {
      if (typeof value === "string") {
        const text = texts.numberOf(value);
        numbersOfTexts[text] ??= remember(value);
        return numbersOfTexts[text];
      }
      if (typeof value !== "object" || value === null) {
        const known = plain.get(value);
        if (known !== undefined) return known;
        const number = remember(value);
        plain.set(value, number);
        return number;
      }
      const text = JSON.stringify(value);
      const known = composed.get(text);
      if (known !== undefined) return known;
      const number = remember(value);
      composed.set(text, number);
      return number;
    },
  };
}

const slotsAtLeast = 16;

/** Pairs of small non-negative numbers, each with a number; a Map would take five times as long. */
export interface PairTable {
  /** The number of the pair, or -1. */
  get(first: number, second: number): number;
  /** Keeps the number unless the pair has one; returns the one that it has. */
  add(first: number, second: number, number: number): number;
}

/** A table for at most `pairs` pairs: open addressing, at most half full. */
export function createPairTable(pairs: number): PairTable {
  let size = slotsAtLeast;
  while (size < pairs * 2) size *= 2;
  const mask = size - 1;
  const firsts = new Int32Array(size);
  const seconds = new Int32Array(size);
  const numbers = new Int32Array(size).fill(-1);
  const slotOf = (first: number, second: number) => {
    let hash = Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b);
    hash ^= hash >>> 15;
    let slot = hash & mask;
    while (numbers[slot] !== -1 && (firsts[slot] !== first || seconds[slot] !== second)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  };
  return {
    get: (first, second) => numbers[slotOf(first, second)]!,
    add(first, second, number) {
      const slot = slotOf(first, second);
      if (numbers[slot] !== -1) return numbers[slot]!;
      firsts[slot] = first;
      seconds[slot] = second;
      numbers[slot] = number;
      return number;
    },
  };
}
