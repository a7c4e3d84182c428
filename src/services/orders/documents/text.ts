import type { Run } from "../rules/documents.ts";

/** How wide a text is, in parts of the font size. */
export type MeasureEm = (text: string, bold: boolean) => number;

interface Word {
  runs: Run[];
  widthEm: number;
}

/**
 * Breaks runs into lines of at most `widthEm`, at blanks and line breaks; a word that is wider than
 * a whole line is broken where the line ends. Nothing is left out.
 */
export function breakLines(runs: readonly Run[], widthEm: number, measure: MeasureEm): Run[][] {
  return paragraphsOf(runs).flatMap((paragraph) => {
    const words = wordsOf(paragraph, measure).flatMap((word) => fitting(word, widthEm, measure));
    return linesOf(words, widthEm, measure);
  });
}

function paragraphsOf(runs: readonly Run[]): Run[][] {
  const paragraphs: Run[][] = [[]];
  for (const { text, bold } of runs) {
    text.split("\n").forEach((part, index) => {
      if (index > 0) paragraphs.push([]);
      if (part !== "") paragraphs.at(-1)?.push({ text: part, bold });
    });
  }
  return paragraphs;
}

function wordsOf(runs: readonly Run[], measure: MeasureEm): Word[] {
  const words: Word[] = [{ runs: [], widthEm: 0 }];
  for (const { text, bold } of runs) {
    text.split(" ").forEach((part, index) => {
      if (index > 0) words.push({ runs: [], widthEm: 0 });
      if (part === "") return;
      const word = words.at(-1) as Word;
      word.runs.push({ text: part, bold });
      word.widthEm += measure(part, bold);
    });
  }
  return words.filter((word) => word.runs.length > 0);
}

/** The word itself, or the pieces of it that fit into a line each. */
function fitting(word: Word, widthEm: number, measure: MeasureEm): Word[] {
  if (word.widthEm <= widthEm) return [word];
  const pieces: Word[] = [{ runs: [], widthEm: 0 }];
  for (const { text, bold } of word.runs) {
    for (const character of text) {
      const characterEm = measure(character, bold);
      let piece = pieces.at(-1) as Word;
      if (piece.widthEm > 0 && piece.widthEm + characterEm > widthEm) {
        piece = { runs: [], widthEm: 0 };
        pieces.push(piece);
      }
      append(piece.runs, { text: character, bold });
      piece.widthEm += characterEm;
    }
  }
  return pieces;
}

function linesOf(words: readonly Word[], widthEm: number, measure: MeasureEm): Run[][] {
  const lines: Run[][] = [];
  let line: Run[] = [];
  let usedEm = 0;
  for (const { runs, widthEm: wordEm } of words) {
    const blank = { text: " ", bold: (line.at(-1)?.bold && runs[0]?.bold) ?? false };
    const blankEm = measure(blank.text, blank.bold);
    if (line.length > 0 && usedEm + blankEm + wordEm > widthEm) {
      lines.push(line);
      line = [];
      usedEm = 0;
    }
    if (line.length > 0) {
      append(line, blank);
      usedEm += blankEm;
    }
    for (const run of runs) append(line, run);
    usedEm += wordEm;
  }
  return line.length > 0 ? [...lines, line] : lines;
}

function append(runs: Run[], run: Run): void {
  const last = runs.at(-1);
  if (last?.bold === run.bold) runs[runs.length - 1] = { ...last, text: last.text + run.text };
  else runs.push(run);
}
