/** A counted product at or below this many units is reported as `product.stock_low`. */
export const lowStockUnits = 5;

/**
 * Whether a change took the stock to the low mark or below it. Null is "not counted"; a product
 * that was low already is not reported again.
 */
export function stockFellLow(before: number | null, after: number | null): boolean {
  const isLow = (stock: number | null) => stock !== null && stock <= lowStockUnits;
  return isLow(after) && !isLow(before);
}
