// Searches the files beside it: `const search = await Search.open(); await search.find("tea")`.

import { BM25 } from "./bm25.js";
import { ColBERT } from "./colbert.js";
import { Documents } from "./documents.js";
import { Files } from "./files.js";
import { fuse } from "./fusion.js";
import { Splade } from "./splade.js";

const FORMAT = 1;
const RETRIEVERS = { bm25: BM25, splade: Splade };

export class Search {
  constructor(record, files, retriever, documents) {
    Object.assign(this, { record, files, retriever, documents });
    this.reranker = null;
  }

  /**
   * Open what can be searched at once; `loadReranker` fetches the rest.
   *
   * base: The folder's address; by default that of this module.
   */
  static async open(base = new URL(".", import.meta.url).href) {
    const files = new Files(base);
    const record = await files.json("search.json");
    if (record.format_version !== FORMAT) {
      throw new Error(`search.json has format ${record.format_version}; these files read ${FORMAT}`);
    }
    const kind = RETRIEVERS[record.retriever.kind];
    const [retriever, documents] = await Promise.all([kind.load(files), Documents.load(files, record)]);
    return new Search(record, files, retriever, documents);
  }

  /** Whether the folder has a model that orders what the retriever finds. */
  get reranks() {
    return this.record.reranker !== null;
  }

  /** Fetch the model and the documents' vectors, where there are any. */
  async loadReranker() {
    if (this.reranks) this.reranker ??= await ColBERT.load(this.files, this.record.reranker);
  }

  /**
   * The k best documents, as `{ ids, numbers, scores }`, best first.
   *
   * reranks: Whether the model orders them; until it is loaded the retriever's order stands.
   */
  async find(query, k = 10, { reranks = true } = {}) {
    const ranks = reranks && this.reranker !== null;
    const found = await (ranks ? this.reranked(query, k) : this.retriever.search(query, k));
    return { ids: found.numbers.map((number) => this.documents.keys[number]), ...found };
  }

  async reranked(query, k) {
    const { fuse: method, fuse_weight: weight, candidates } = this.record.ranking;
    const first = await this.retriever.search(query, Math.max(k, candidates));
    const second = await this.reranker.rerank(query, first.numbers);
    if (method !== "none") return fuse(first, second, k, method, weight);
    return { numbers: second.numbers.slice(0, k), scores: second.scores.slice(0, k) };
  }
}
