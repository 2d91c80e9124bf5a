// From a text to its terms, as glane.analysis.analyzer makes them.

import { compiled, Folding, isIn } from "./folding.js";
import { Languages } from "./languages.js";

export class Analyzer {
  /**
   * rules: The content of analysis.json.
   * stemmers: By language, each with `stemWord`.
   */
  constructor(rules, stemmers) {
    this.rules = rules;
    const { kind, language, ngrams } = rules.analyzer;
    Object.assign(this, { kind, language, ngrams });
    this.folding = new Folding(rules);
    this.patterns = this.folding.patterns;
    this.cuts = compiled(rules.words, rules.classes);
    this.stemmers = stemmers;
    this.stopWords = Object.fromEntries(
      Object.entries(rules.stop_words).map(([language, words]) => [language, new Set(words)]),
    );
    if (!rules.languages) return;
    const { alphabetic } = compiled({ alphabetic: rules.characters.alphabetic }, rules.classes);
    const isUnspaced = (word) => word.search(this.patterns.UNSPACED) === 0;
    this.languages = new Languages(rules, (one) => isIn(one, alphabetic), isUnspaced);
  }

  /** Fetch the rules, and the stemmers that they need, of the files beside a page. */
  static async load(files) {
    const rules = await files.json("analysis.json");
    const load = async (language) => {
      const { default: Stemmer } = await files.module(`stemmers/${language}.js`);
      return [language, new Stemmer()];
    };
    const stemmers = await Promise.all(Object.keys(rules.stop_words).map(load));
    const made = new Analyzer(rules, Object.fromEntries(stemmers));
    if (!made.folding.isKnown()) {
      throw new Error(`this browser's Unicode is older than the index's, ${rules.unicode}; update it`);
    }
    return made;
  }

  /** The terms of a document in order, each as often as it occurs. */
  document(text) {
    return this.words(text).flatMap((word) => this.terms(word));
  }

  /** The terms that a query is looked for by, in each language that it may be of. */
  readings(text) {
    if (this.language !== "auto" || this.kind !== "words") return [this.lookedFor(this.words(text))];
    return this.toldReadings(text).map((words) => this.lookedFor(words));
  }

  lookedFor(words) {
    const terms = words.flatMap((word) => this.terms(word));
    const telling = terms.filter((term) => !term.startsWith(this.rules.stopped));
    return telling.length ? telling : terms;
  }

  words(text) {
    if (this.kind !== "words") {
      const found = this.folding.fold(text).match(this.patterns.RUNS) ?? [];
      return this.kind === "char" && found.length ? [found.join(" ")] : found;
    }
    if (this.language !== "auto") {
      return this.cut(this.folding.fold(text, this.language), this.language);
    }
    const folded = this.folding.fold(text);
    const words = this.cut(folded, "english");
    const told = this.languages.told(this.languages.evidence(words));
    return this.wordsIn(text, folded, words, told);
  }

  /** The words of a text in each language that it may be of, the likeliest first. */
  toldReadings(text) {
    const folded = this.folding.fold(text);
    const words = this.cut(folded, "english");
    const main = this.languages.mainScript(words);
    if (main === undefined) return [words];
    const found = this.languages.evidence(words);
    const likely = this.languages.candidates(main, found.get(main) ?? new Map());
    const told = this.languages.told(found);
    return [...new Set([...likely, this.languages.usual[main]])].map((language) =>
      this.wordsIn(text, folded, words, { ...told, [main]: language }),
    );
  }

  /** The words of a text, with the language of those whose language is not the usual. */
  wordsIn(text, folded, words, languages) {
    const { usual, folded_apart: apart } = this.languages;
    const unusual = Object.fromEntries(
      Object.entries(languages).filter(([script, told]) => told !== usual[script]),
    );
    if (!Object.keys(unusual).length) return words;
    const own = apart.find((language) => Object.values(unusual).includes(language));
    if (own || "latin" in unusual) {
      const again = own ? this.folding.fold(text, own) : folded;
      words = this.cut(again, unusual.latin ?? usual.latin);
    }
    return words.map((word) => {
      const told = unusual[this.languages.script(word)];
      return told && this.languages.isOfALanguage(word) ? word + this.rules.in + told : word;
    });
  }

  cut(folded, language) {
    const initials = language === "none" ? "plain" : "initials";
    const apostrophes = language === "english" ? "-apostrophes" : "";
    return folded.match(this.cuts[initials + apostrophes]) ?? [];
  }

  /** A document's terms of one of `words`. */
  terms(word) {
    if (this.kind !== "words") return [...this.plainGrams(word), ...this.shorter(word)];
    if (word.search(this.patterns.UNSPACED) === 0) return unspaced(word);
    const [plain, told] = word.split(this.rules.in);
    return this.term(plain, told ?? this.languageOf(plain));
  }

  term(word, language) {
    if (language === "none") return [word];
    if (word.includes(".")) {
      word = word.replaceAll(".", "");
      if ([...word].length === 1) return [];
    }
    if (language === "english") {
      word = word.replace(this.patterns.POSSESSIVE, "").replace(this.patterns.APOSTROPHE, "");
    }
    if (this.stopWords[language].has(word)) return [this.rules.stopped + word];
    const stem = this.stemmed(word, language);
    return [language === "turkish" ? stem.replaceAll("\u0131", "i") : stem];
  }

  stemmed(word, language) {
    const characters = [...word];
    if (characters.length > this.rules.stemmed_length || /^[0-9]+$/.test(word)) return word;
    if (characters.length === word.length) return this.stemmers[language].stemWord(word);
    // Snowball's rules count characters; those of two units are one while it looks at them.
    const wide = characters.filter((one) => one.length > 1);
    const narrow = characters.map((one) => (one.length > 1 ? "\uffff" : one)).join("");
    return this.stemmers[language].stemWord(narrow).replace(/\uffff/g, () => wide.shift());
  }

  languageOf(word) {
    return this.language === "auto" ? this.languages.usual[this.languages.script(word)] : this.language;
  }

  plainGrams(run) {
    return this.kind === "bigrams" ? pairs([...run]) : grams([..." ", ...run, " "], ...this.ngrams);
  }

  /** What is shorter than the n-grams of a run, and would not be found by them. */
  shorter(run) {
    const low = this.kind === "bigrams" ? 2 : this.ngrams[0];
    const parts = (run.match(this.patterns.UNSPACED) ?? []).flatMap(unspaced);
    const shorter = parts.filter((term) => [...term].length < low);
    if (this.kind !== "char" || !run.includes(" ")) return shorter;
    const short = run.split(" ").filter((part) => [...part].length + 2 < low);
    return [...shorter, ...short.map((part) => ` ${part} `)];
  }
}

/** The characters of a run, and then its overlapping pairs of them. */
function unspaced(run) {
  const characters = [...run];
  return characters.length > 1 ? [...characters, ...pairs(characters)] : characters;
}

function pairs(characters) {
  if (characters.length < 2) return [characters.join("")];
  return characters.slice(1).map((second, place) => characters[place] + second);
}

function grams(characters, low, high) {
  const found = [];
  for (let n = low; n <= high; n++) {
    for (let start = 0; start < Math.max(1, characters.length - n + 1); start++) {
      found.push(characters.slice(start, start + n).join(""));
    }
    if (n >= characters.length) break;
  }
  return found;
}
