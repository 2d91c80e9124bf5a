// Tells the language of a text by its small words, as glane.analysis.languages does.

export class Languages {
  constructor({ languages, characters }, isAlphabetic, isUnspaced) {
    Object.assign(this, languages);
    this.smallWords = new Map(Object.entries(this.small_words));
    this.isAlphabetic = isAlphabetic;
    this.isUnspaced = isUnspaced;
  }

  /** The script of a word's first character. */
  script(word) {
    const code = word.codePointAt(0);
    const holds = ([first, end]) => first <= code && code < end;
    const found = Object.entries(this.scripts).find(([, blocks]) => blocks.some(holds));
    return found ? found[0] : "latin";
  }

  /** Whether a word is of a language: it begins with a letter, and spaces part such words. */
  isOfALanguage(word) {
    return this.isAlphabetic(String.fromCodePoint(word.codePointAt(0))) && !this.isUnspaced(word);
  }

  /** What speaks for each language of each script: one for a word of its own. */
  evidence(words) {
    const found = new Map();
    const lookedAt = words.slice(0, this.looked_at);
    const parts = lookedAt.filter((word) => word.includes("'")).flatMap((word) => word.split("'"));
    for (const word of [...lookedAt, ...parts]) {
      if (!this.smallWords.has(word)) continue;
      const [script, languages, weight] = this.smallWords.get(word);
      if (!found.has(script)) found.set(script, new Map());
      const weights = found.get(script);
      for (const language of languages) weights.set(language, (weights.get(language) ?? 0) + weight);
    }
    for (const [script, weights] of found) {
      const usual = this.usual[script];
      if (weights.has(usual)) weights.set(usual, weights.get(usual) + this.telling);
    }
    return found;
  }

  /** The languages that a text may be of, the likeliest first. */
  candidates(script, weights) {
    const ranked = [...weights.keys()].sort(
      (a, b) => weights.get(b) - weights.get(a) || this.ranks[a] - this.ranks[b],
    );
    const most = weights.get(ranked[0]);
    if (!ranked.length || most < this.telling) return this.of_script[script];
    return ranked.filter((language) => 2 * weights.get(language) > most);
  }

  /** The likeliest language of each script that there is evidence of. */
  told(found) {
    return Object.fromEntries(
      [...found].map(([script, weights]) => [script, this.candidates(script, weights)[0]]),
    );
  }

  /** The script that most words of a language have, the first of equals; none without any. */
  mainScript(words) {
    const counts = new Map();
    for (const word of words.filter((each) => this.isOfALanguage(each))) {
      counts.set(this.script(word), (counts.get(this.script(word)) ?? 0) + 1);
    }
    return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
  }
}
