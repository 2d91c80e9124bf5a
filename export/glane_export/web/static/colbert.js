// ColBERT: the model, run by onnxruntime-web, makes a query's vectors; the documents' are stored.

import { best } from "./hits.js";
import { TokenVectors } from "./maxsim.js";
import { Tokenizer } from "./tokenizer.js";

export class ColBERT {
  constructor(tokenizer, ort, session, vectors) {
    Object.assign(this, { tokenizer, ort, session, vectors });
  }

  /** record: The `storage` of the documents' vectors, and their `dim`. */
  static async load(files, { storage, dim }) {
    const [tokenizer, ort, graph, arrays] = await Promise.all([
      Tokenizer.load(files, "colbert"),
      files.module("runtime/ort.js"),
      files.bytes("model.onnx"),
      files.arrays("vectors.bin"),
    ]);
    ort.env.wasm.wasmPaths = { wasm: files.address("runtime/ort.wasm") };
    ort.env.wasm.numThreads = 1; // more need headers that a static host seldom sends
    const options = { executionProviders: ["wasm"] };
    const session = await ort.InferenceSession.create(new Uint8Array(graph), options);
    return new ColBERT(tokenizer, ort, session, new TokenVectors(storage, dim, arrays));
  }

  /** Some documents, given by their numbers, in the order of the model's scores. */
  async rerank(query, numbers) {
    const vectors = await this.encode(query);
    const documents = [...numbers].sort((a, b) => a - b);
    return best(documents, this.vectors.scores(vectors, documents), documents.length);
  }

  /** The vectors of a query's tokens that count, laid flat. */
  async encode(query) {
    const { pad_id: pad, attend_to_fill: attends, skipped_ids: skipped } = this.tokenizer.frame;
    const { own, ids } = this.tokenizer.query(query);
    const given = ids.length ? ids : [pad];
    const attended = given.map((_, i) => Number(i < own.length || (attends && ids.length > 0)));
    const { token_vectors: made } = await this.session.run({
      input_ids: this.tensor(given),
      attention_mask: this.tensor(attended),
    });
    const dim = made.dims[2];
    const rows = ids.flatMap((id, i) => (skipped.includes(id) ? [] : [i]));
    const kept = new Float32Array(rows.length * dim);
    rows.forEach((row, i) => kept.set(made.data.subarray(row * dim, (row + 1) * dim), i * dim));
    return kept;
  }

  tensor(numbers) {
    const values = BigInt64Array.from(numbers, BigInt);
    return new this.ort.Tensor("int64", values, [1, numbers.length]);
  }
}
