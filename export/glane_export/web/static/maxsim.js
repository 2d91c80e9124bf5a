// MaxSim over stored token vectors: for each of a query's the largest product, summed.

import { Owners } from "./hits.js";

const NO_TOKENS_SCORE = -10000;

const QUERY_MOST = 63;

export class TokenVectors {
  /**
   * kind, dim: How a vector is stored, and its width.
   * arrays: `offsets` of each row's tokens, `codes` and, but for float16, `scales` a token; and
   *     `owners`, the offsets of each document's rows.
   */
  constructor(kind, dim, { offsets, codes, scales, owners }) {
    Object.assign(this, { kind, dim, offsets, codes, scales });
    this.owners = new Owners(owners);
    this.decode = { float16: this.half, int8: this.int8, int4: this.int4 }[kind];
    this.halves = kind === "float16" ? halves() : null;
  }

  /** The scores of documents, given by their numbers, with a query's vectors, laid flat. */
  scores(query, documents) {
    const asked = this.asked(query);
    return documents.map((document) => {
      let most = -Infinity;
      for (let row = this.owners.offsets[document]; row < this.owners.offsets[document + 1]; row++) {
        most = Math.max(most, this.score(asked, row));
      }
      return Math.fround(most);
    });
  }

  /** A query's vectors as they are multiplied: with codes, as integers in steps of their own. */
  asked(query) {
    if (!this.scales) return { codes: query, steps: new Float32Array(query.length / this.dim).fill(1) };
    return coded(this.kind === "int4" ? turned(query, this.dim) : query, this.dim);
  }

  score({ codes, steps }, row) {
    const [start, stop] = [this.offsets[row], this.offsets[row + 1]];
    if (start === stop) return NO_TOKENS_SCORE;
    const best = new Float32Array(steps.length).fill(-Infinity);
    const vector = new Float32Array(this.dim);
    for (let token = start; token < stop; token++) {
      this.decode(token, vector);
      const scale = this.scales ? this.scales[token] : 1;
      for (let i = 0; i < best.length; i++) {
        const product = scale * Math.fround(steps[i] * dot(codes, i * this.dim, vector));
        if (product > best[i]) best[i] = product;
      }
    }
    return best.reduce((sum, each) => sum + each, 0);
  }

  half(token, vector) {
    const start = token * this.dim;
    for (let i = 0; i < this.dim; i++) vector[i] = this.halves[this.codes[start + i]];
  }

  int8(token, vector) {
    vector.set(this.codes.subarray(token * this.dim, (token + 1) * this.dim));
  }

  /** Two components in a byte, the first half of them in the lower bits; 7.5 stands for 0. */
  int4(token, vector) {
    const width = this.dim / 2;
    for (let i = 0; i < width; i++) {
      const code = this.codes[token * width + i];
      vector[i] = (code & 15) - 7.5;
      vector[width + i] = (code >> 4) - 7.5;
    }
  }
}

function dot(query, start, vector) {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += query[start + i] * vector[i];
  return sum;
}

/** Vectors as integers from -63 to 63 and the length of a step, as Python codes a query's. */
export function coded(values, dim) {
  const [codes, steps] = [new Float32Array(values.length), new Float32Array(values.length / dim)];
  for (let i = 0; i < steps.length; i++) {
    const vector = values.subarray(i * dim, (i + 1) * dim);
    steps[i] = vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / QUERY_MOST;
    for (let j = 0; j < dim; j++) codes[i * dim + j] = rounded(Math.fround(vector[j] / (steps[i] || 1)));
  }
  return { codes, steps };
}

/** A float32 as an integer in -63..63; a half becomes the even one. */
function rounded(level) {
  const most = Math.max(-QUERY_MOST, Math.min(level, QUERY_MOST));
  return Math.fround(most + 3 * 2 ** 22) - 3 * 2 ** 22;
}

/** Vectors turned as those of int4 are stored, by Hadamard's matrix on runs of 2^k components. */
export function turned(values, dim) {
  const run = dim & -dim;
  let made = Float32Array.from(values);
  for (let half = 1; half < run; half *= 2) {
    const next = new Float32Array(made.length);
    for (let i = 0; i < made.length; i++) {
      const isRight = Math.floor(i / half) % 2 === 1;
      next[i] = isRight ? made[i - half] - made[i] : made[i] + made[i + half];
    }
    made = next;
  }
  return made.map((value) => value * run ** -0.5);
}

/** The value of each float16, by its bits. */
function halves() {
  const value = (bits) => {
    const [sign, exponent, fraction] = [bits >> 15, (bits >> 10) & 31, bits & 1023];
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
    return sign ? -size : size;
  };
  return Float32Array.from({ length: 1 << 16 }, (_, bits) => value(bits));
}
