// Two rankings of one query become one, as glane.retrievers.fusion joins them.

import { best } from "./hits.js";

const RRF_RANK = 60;
const JUST_BELOW = 1e-6;
const NO_TOKENS_SCORE = -10000;

/** The k best of two rankings, `{ numbers, scores }`; the first counts with `weight`. */
export function fuse(first, second, k, method, weight) {
  const scale = method === "rrf" ? reciprocalRanks : standardised;
  const union = [...new Set([...first.numbers, ...second.numbers])].sort((a, b) => a - b);
  const [one, other] = [scale(first, union), scale(second, union)];
  const joined = union.map((_, i) => Math.fround(weight * one[i] + (1 - weight) * other[i]));
  return best(union, joined, k);
}

function reciprocalRanks({ numbers }, union) {
  const ranks = new Map(numbers.map((number, rank) => [number, rank + 1]));
  return union.map((number) => (ranks.has(number) ? 1 / (RRF_RANK + ranks.get(number)) : 0));
}

/** Each score less the mean, over the deviation; what is not ranked gets the lowest. */
function standardised({ numbers, scores }, union) {
  if (!numbers.length) return union.map(() => 0);
  const isFinite = scores.map((score) => Number.isFinite(score));
  let isTold = scores.map((score, i) => isFinite[i] && score > NO_TOKENS_SCORE);
  if (!isTold.includes(true)) isTold = isFinite;
  const told = scores.filter((_, i) => isTold[i]);
  const mean = told.reduce((sum, score) => sum + score, 0) / told.length;
  const square = told.reduce((sum, score) => sum + (score - mean) ** 2, 0) / told.length;
  const deviation = Math.sqrt(square) || 1;
  const scaled = scores.map((score, i) => (isTold[i] ? (score - mean) / deviation : 0));
  const [low, high] = [Math.min(...scaled) - JUST_BELOW, Math.max(...scaled) + JUST_BELOW];
  const marked = scaled.map((each, i) => (isTold[i] ? each : scores[i] === Infinity ? high : low));
  const lowest = Math.min(...marked);
  const values = new Map(numbers.map((number, i) => [number, marked[i]]));
  return union.map((number) => values.get(number) ?? lowest);
}
