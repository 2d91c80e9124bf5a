// The one rule of order: best first, equal scores by lower number.

/** The k best of some documents, given with a score each, as `{ numbers, scores }`. */
export function best(numbers, scores, k) {
  const order = numbers.map((_, place) => place);
  order.sort((a, b) => scores[b] - scores[a] || numbers[a] - numbers[b]);
  const kept = order.slice(0, k);
  return { numbers: kept.map((place) => numbers[place]), scores: kept.map((place) => scores[place]) };
}

/** Which document each row is of, where documents have several rows. */
export class Owners {
  /** offsets: Document i has the rows from `offsets[i]` to before `offsets[i + 1]`. */
  constructor(offsets) {
    this.offsets = offsets;
    this.of = new Uint32Array(offsets.at(-1));
    for (let i = 0; i + 1 < offsets.length; i++) this.of.fill(i, offsets[i], offsets[i + 1]);
  }

  /** Rows and their scores as documents, each with the best score of its rows. */
  byDocument(rows, scores) {
    const found = new Map();
    rows.forEach((row, place) => {
      const document = this.of[row];
      if (!(found.get(document) >= scores[place])) found.set(document, scores[place]);
    });
    return { numbers: [...found.keys()], scores: [...found.values()] };
  }
}
