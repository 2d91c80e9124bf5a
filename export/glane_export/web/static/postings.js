// From terms to documents: exact inverted lists, scored as glane.postings does, bit for bit.

import { best, Owners } from "./hits.js";

export class Postings {
  /**
   * terms, offsets: Term `terms[i]` lies at `offsets[i]` to before `offsets[i + 1]` of the others.
   * rows, values: The rows that hold it, and what it weighs there.
   * owners: By row, the offsets of each document's rows.
   */
  constructor({ terms, offsets, rows, values, owners }) {
    Object.assign(this, { offsets, rows, values });
    this.places = new Map(Array.from(terms, (term, place) => [term, place]));
    this.owners = new Owners(owners);
    this.nRows = owners.at(-1);
  }

  static async load(files, name) {
    return new Postings(await files.arrays(name));
  }

  /** The k documents of highest sum over terms of a query's weight times the term's. */
  search(terms, weights, k) {
    const scores = new Float32Array(this.nRows); // each sum is rounded to float32, as numpy does
    const holding = new Set();
    let isPositive = true;
    terms.forEach((term, i) => {
      const place = this.places.get(term);
      if (place === undefined) return;
      for (let at = this.offsets[place]; at < this.offsets[place + 1]; at++) {
        const added = Math.fround(this.values[at] * weights[i]);
        isPositive &&= this.values[at] > 0 && weights[i] > 0;
        scores[this.rows[at]] += added;
        holding.add(this.rows[at]);
      }
    });
    const rows = [...holding].filter((row) => !isPositive || scores[row] > 0);
    const found = this.owners.byDocument(rows, rows.map((row) => scores[row]));
    return best(found.numbers, found.scores, k);
  }
}

/** Terms of a query, and how often it has each, in order of first appearance. */
export function counted(terms) {
  const counts = new Map();
  for (const term of terms) counts.set(term, (counts.get(term) ?? 0) + 1);
  return { terms: [...counts.keys()], weights: [...counts.values()] };
}
