/** A page of a long list, without the price of sorting all of it. */

/**
 * Moves items until those from `start` to before `end` are the ones that a full sort would put there, in its order. All
 * others are in no order. The comparison must tell any two items apart.
 * @returns the items of the range
 */
export function sortRange<T>(items: T[], range: { start: number; end: number }, compare: (a: T, b: T) => number): T[] {
  const start = Math.min(range.start, items.length);
  const end = Math.min(range.end, items.length);
  const pending: [low: number, high: number][] = [[0, items.length - 1]];
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    const [low, high] = part;
    if (low >= high || high < start || low >= end) continue;
    const split = partition(items, low, high, compare);
    pending.push([low, split], [split + 1, high]);
  }
  return items.slice(start, end);
}

/** Hoare's: afterwards nothing up to the returned index is greater than anything behind it. */
function partition<T>(items: T[], low: number, high: number, compare: (a: T, b: T) => number): number {
  const pivot = items[(low + high) >>> 1] as T;
  let left = low;
  let right = high;
  for (;;) {
    while (compare(items[left] as T, pivot) < 0) left += 1;
    while (compare(items[right] as T, pivot) > 0) right -= 1;
    if (left >= right) return right;
    const moved = items[left] as T;
    items[left] = items[right] as T;
    items[right] = moved;
    left += 1;
    right -= 1;
  }
}
