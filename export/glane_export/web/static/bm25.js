// BM25: a query's terms, counted; what each weighs in a document is stored.

import { Analyzer } from "./analyzer.js";
import { counted, Postings } from "./postings.js";

export class BM25 {
  constructor(analyzer, vocabulary, postings) {
    this.analyzer = analyzer;
    this.numbers = new Map(vocabulary.map((term, number) => [term, number]));
    this.postings = postings;
  }

  static async load(files) {
    const parts = [Analyzer.load(files), files.json("terms.json"), Postings.load(files, "postings.bin")];
    return new BM25(...(await Promise.all(parts)));
  }

  async search(query, k) {
    const { terms, weights } = counted(this.known(query));
    return this.postings.search(terms, weights, k);
  }

  /** The numbers of a query's terms, in the first reading that leaves the fewest unknown. */
  known(query) {
    const readings = this.analyzer
      .readings(query)
      .map((terms) => terms.map((term) => this.numbers.get(term)));
    const nUnknown = (reading) => reading.filter((number) => number === undefined).length;
    const told = readings.reduce((one, other) => (nUnknown(other) < nUnknown(one) ? other : one));
    return told.filter((number) => number !== undefined);
  }

  /** Returns whether a word of a text is one of the query's. */
  matcher(query) {
    const asked = new Set(this.analyzer.readings(query).flat());
    return (word) => this.analyzer.document(word).some((term) => asked.has(term));
  }
}
