// BERT's tokenizer: characters made alike, words cut at spaces and punctuation, pieces of words.

import { compiled } from "./folding.js";

export class Tokenizer {
  /** rules: The content of a file that the export made; it is not the library's own. */
  constructor(rules) {
    Object.assign(this, rules);
    this.vocabulary = new Map(Object.entries(rules.vocabulary));
    this.patterns = compiled(rules.patterns, rules.classes);
    this.changed = new Map(Object.entries(rules.changed));
  }

  /** model: `splade` or `colbert`. */
  static async load(files, model) {
    return new Tokenizer(await files.json(`${model}-tokenizer.json`));
  }

  /** The ids of a query as the model is given it, markers and filling included. */
  query(text) {
    const { prompt, suffix, before, after, room, strip, fill_to: fillTo, fill_id: fill } = this.frame;
    const whole = prompt + text;
    const ids = this.ids((strip ? whole.replace(this.patterns.edges, "") : whole) + suffix);
    const own = [...before, ...ids.slice(0, room), ...after];
    const nFilled = Math.max(0, fillTo - own.length);
    return { own, ids: [...own, ...Array(nFilled).fill(fill)] };
  }

  /** The ids of a text's tokens; a special token that is written out stands for itself. */
  ids(text) {
    const found = [];
    let rest = text.toWellFormed();
    for (let next = this.special(rest); next; next = this.special(rest)) {
      found.push(...this.plain(rest.slice(0, next.place)), next.id);
      rest = rest.slice(next.place + next.length);
    }
    return [...found, ...this.plain(rest)];
  }

  /** The first special token in a text, the longest of those that begin there. */
  special(text) {
    const found = Object.entries(this.specials)
      .map(([content, id]) => ({ place: text.indexOf(content), length: content.length, id }))
      .filter(({ place }) => place >= 0);
    return found.sort((a, b) => a.place - b.place || b.length - a.length)[0];
  }

  plain(text) {
    const words = this.normalized(text).match(this.patterns.words) ?? [];
    return words.flatMap((word) => this.pieces(word));
  }

  normalized(text) {
    return text
      .replace(this.patterns.removed, "")
      .replace(this.patterns.spaced, " $& ")
      .replace(this.patterns.decomposed, (one) => one.normalize("NFD"))
      .replace(this.patterns.changed, (one) => this.changed.get(one));
  }

  /** The longest pieces of the vocabulary, from a word's beginning on. */
  pieces(word) {
    const characters = [...word];
    if (characters.length > this.longest) return [this.unknown];
    const ids = [];
    for (let start = 0, end; start < characters.length; start = end) {
      let id;
      for (end = characters.length; end > start; end--) {
        const piece = characters.slice(start, end).join("");
        id = this.vocabulary.get(start ? this.continuing + piece : piece);
        if (id !== undefined) break;
      }
      if (id === undefined) return [this.unknown];
      ids.push(id);
    }
    return ids;
  }
}
