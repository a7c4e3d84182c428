import type { Analysis } from "../rules/result.ts";

const charPixels = 6.6;
const paddingPixels = 10;

const colourOf = (value: number | null): string =>
  value === null ? "#6b7280" : value >= 80 ? "#2f7d4f" : value >= 50 ? "#a16207" : "#b42318";

/** A badge with the overall score; grey without one. */
export function badgeOf({ scores }: Pick<Analysis, "scores">): string {
  const { value } = scores.overall;
  const label = "plimsoll";
  const text = value === null ? "no score" : `${value}/100`;
  const left = Math.round(label.length * charPixels + paddingPixels * 2);
  const right = Math.round(text.length * charPixels + paddingPixels * 2);
  const width = left + right;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="20" role="img" aria-label="${label}: ${text}">
<title>${label}: ${text}</title>
<clipPath id="r"><rect width="${width}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="${left}" height="20" fill="#1f2937"/><rect x="${left}" width="${right}" height="20" fill="${colourOf(value)}"/></g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="${left / 2}" y="14">${label}</text><text x="${left + right / 2}" y="14">${text}</text></g>
</svg>
`;
}
