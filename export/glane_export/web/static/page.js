// The page: what is typed is searched at once, and ordered by the model after a pause.

import { excerpt, marked } from "./excerpts.js";
import { Search } from "./search.js";

const K = 10;
const PAUSE = 150; // milliseconds without a key before the model is asked

const [form, query, told, loading, error, hits] = ["form", "query", "told", "loading", "error", "hits"]
  .map((id) => document.getElementById(id));

let search = null;
let asked = 0; // number of the last search that began
let pause = 0;

function made(tag, ...inside) {
  const element = document.createElement(tag);
  element.append(...inside);
  return element;
}

/** Run a task; what goes wrong is told on the page. */
async function tried(task) {
  try {
    await task();
  } catch (problem) {
    error.textContent = problem.message;
  }
}

async function shown(reranks) {
  const number = ++asked;
  const text = query.value;
  error.textContent = "";
  const start = performance.now();
  const found = await search.find(text, K, { reranks });
  const took = performance.now() - start;
  const matches = search.retriever.matcher(text);
  const items = await Promise.all(found.numbers.map((_, place) => item(found, place, matches)));
  if (number !== asked) return; // something else was typed meanwhile
  hits.replaceChildren(...items);
  told.textContent = summary(text, found, took);
}

function summary(text, found, took) {
  if (!text.trim()) return `${search.documents.keys.length.toLocaleString()} documents`;
  if (!found.ids.length) return "No document has a word of this.";
  const n = found.ids.length === 1 ? "1 result" : `${found.ids.length} results`;
  return `${n} in ${took.toFixed(took < 10 ? 1 : 0)} ms`;
}

async function item(found, place, matches) {
  const key = String(found.ids[place]);
  const fields = await search.documents.fields(found.numbers[place]);
  const isTitled = fields.length > 1;
  const title = isTitled ? fields[0][1] : key;
  const text = fields.slice(isTitled ? 1 : 0).map(([, value]) => value).join(" ");
  const heading = made("h2", ...marked(title, matches));
  const body = made("p", ...marked(excerpt(text, matches), matches));
  const facts = made("p", `${isTitled ? `${key} · ` : ""}score ${found.scores[place].toFixed(3)}`);
  facts.className = "facts";
  return made("li", heading, ...(text ? [body] : []), facts);
}

function typed() {
  clearTimeout(pause);
  if (!search) return;
  tried(() => shown(false));
  if (search.reranker) pause = setTimeout(() => tried(() => shown(true)), PAUSE);
}

query.addEventListener("input", typed);
form.addEventListener("submit", (event) => event.preventDefault());

await tried(async () => {
  search = await Search.open();
  typed();
  if (!search.reranks) return;
  loading.textContent = "Loading the model; until then results are in the order of their words.";
  await search.loadReranker();
  loading.textContent = "";
  typed();
});
if (!search) told.textContent = "";
if (error.textContent) loading.textContent = "";
