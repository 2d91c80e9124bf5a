// Inference-free SPLADE: a query's terms are its own tokens, weighed by a table.

import { best } from "./hits.js";
import { Postings } from "./postings.js";
import { Tokenizer } from "./tokenizer.js";

export class Splade {
  constructor(tokenizer, { weights }, postings) {
    this.tokenizer = tokenizer;
    this.weights = weights;
    this.postings = postings;
  }

  static async load(files) {
    const parts = [Tokenizer.load(files, "splade"), files.arrays("table.bin"), Postings.load(files, "postings.bin")];
    return new Splade(...(await Promise.all(parts)));
  }

  async search(query, k) {
    const terms = this.terms(query);
    return this.postings.search(terms, terms.map((term) => this.weights[term]), k);
  }

  /** The distinct tokens that weigh something, of the heaviest as many as the model takes. */
  terms(query) {
    const own = [...new Set(this.tokenizer.query(query).ids)];
    const weighing = own.filter((term) => this.weights[term] > 0);
    const weights = weighing.map((term) => this.weights[term]);
    return best(weighing, weights, this.tokenizer.frame.n_terms).numbers.sort((a, b) => a - b);
  }

  /** Returns whether a word of a text is one of the query's. */
  matcher(query) {
    const asked = new Set(this.terms(query));
    return (word) => this.tokenizer.ids(word).some((id) => asked.has(id));
  }
}
