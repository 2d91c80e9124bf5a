// What is shown of a text: the stretch with most of the query's words, which are marked.

const WIDTH = 320; // characters

// Words part at spaces; in scripts that write none, each character is looked at.
const UNSPACED = ["Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"]
  .map((script) => `\\p{Script=${script}}`)
  .join("");
const LETTER = `(?:(?![${UNSPACED}])[\\p{L}\\p{M}\\p{N}])`;
const WORD = new RegExp(`[${UNSPACED}]|${LETTER}+(?:['\u2019.]${LETTER}+)*`, "gu");

/** The words of a text that a query has, as `{ start, stop }`. */
function matching(text, matches) {
  return [...text.matchAll(WORD)]
    .filter(([word]) => matches(word))
    .map(({ 0: word, index }) => ({ start: index, stop: index + word.length }));
}

/** A piece of a text, cut at spaces where it has some. */
export function excerpt(text, matches) {
  if (text.length <= WIDTH) return text;
  const starts = matching(text, matches).map(({ start }) => start);
  const within = (from) => starts.filter((start) => from <= start && start < from + WIDTH).length;
  const best = starts.reduce((one, other) => (within(other) > within(one) ? other : one), 0);
  const sentence = text.lastIndexOf(". ", best);
  const near = Math.max(0, best - 80);
  const start = sentence >= near ? sentence + 2 : text.indexOf(" ", near - 1) + 1;
  const from = start <= best ? start : best;
  const end = from + WIDTH < text.length ? text.lastIndexOf(" ", from + WIDTH) : text.length;
  const piece = text.slice(from, end > from ? end : from + WIDTH).toWellFormed();
  return `${from > 0 ? "… " : ""}${piece}${from + piece.length < text.length ? " …" : ""}`;
}

/** A text as nodes, the words of a query marked. */
export function marked(text, matches) {
  const nodes = [];
  let end = 0;
  for (const { start, stop } of matching(text, matches)) {
    const mark = document.createElement("mark");
    mark.textContent = text.slice(start, stop);
    nodes.push(text.slice(end, start), mark);
    end = stop;
  }
  return [...nodes, text.slice(end)];
}
