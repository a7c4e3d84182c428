import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Font } from "fontkit";

/** The faces that documents are set in; parsed once per process and shared by all of them. */
export interface Typeface {
  readonly regular: Font;
  readonly bold: Font;
  /** Heights as parts of the size: of "x" and of "H". */
  readonly xHeight: number;
  readonly capHeight: number;
  /** Puts U+FFFD, which both have, where a face lacks a character, and tells `lacking` of it. */
  printable(text: string, lacking: (character: string) => void): string;
}

/** IBM Plex Sans, under the SIL Open Font License 1.1; the package has its text. */
const faceFiles = {
  regular: "@expo-google-fonts/ibm-plex-sans/400Regular/IBMPlexSans_400Regular.ttf",
  bold: "@expo-google-fonts/ibm-plex-sans/700Bold/IBMPlexSans_700Bold.ttf",
} as const;

/**
 * Without substitutions each character is the one glyph that the font maps it to. fontkit keeps in
 * a glyph the characters that it first stood for, and a PDF tells readers by them what is written:
 * a ligature remembered from another document would say what stood there.
 */
const noSubstitutions = Object.fromEntries(
  ["ccmp", "locl", "rlig", "liga", "clig", "calt", "rclt", "frac", "numr", "dnom"].map((tag) => [
    tag,
    false,
  ]),
);

async function readFace(weight: keyof typeof faceFiles): Promise<Font> {
  const bytes = await readFile(fileURLToPath(import.meta.resolve(faceFiles[weight])));
  // Loaded with the first document: with pdfkit it takes 40 MiB, which most processes never need.
  const { create } = await import("fontkit");
  const font = create(bytes) as Font;
  // Tables are read when they are needed first: now. And each glyph is made for its character, not
  // as a part of another one, such as the J of a Ĵ, for which it would not know what it stands for.
  font.layout("A");
  for (const codePoint of font.characterSet) font.glyphForCodePoint(codePoint);
  return Object.create(font, {
    layout: { value: (text: string) => font.layout(text, noSubstitutions) },
  }) as Font;
}

let typeface: Promise<Typeface> | null = null;

/** The typeface, read when the first document needs it. */
export function loadTypeface(): Promise<Typeface> {
  typeface ??= readTypeface().catch((error: unknown) => {
    typeface = null;
    throw error;
  });
  return typeface;
}

async function readTypeface(): Promise<Typeface> {
  // One after the other, so that a server has some turns in between.
  const regular = await readFace("regular");
  const bold = await readFace("bold");
  const has = (character: string) => {
    const codePoint = character.codePointAt(0) as number;
    return regular.hasGlyphForCodePoint(codePoint) && bold.hasGlyphForCodePoint(codePoint);
  };
  return {
    regular,
    bold,
    xHeight: regular.xHeight / regular.unitsPerEm,
    capHeight: regular.capHeight / regular.unitsPerEm,
    printable: (text, lacking) =>
      text.replace(/[^\n]/gu, (character) => {
        if (has(character)) return character;
        lacking(character);
        return "\uFFFD";
      }),
  };
}
