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
  const remember = (value: Value) => list.push(value) - 1;
  return {
    list,
    numberOf(value) {
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
