// One spelling of characters that readers take for the same, as glane.analysis.folding has it.

const ASCII = /^[\0-\x7f]*$/;

/** Patterns of Python, by name; `<3>` in one stands for the fourth of the classes. */
export function compiled(patterns, classes) {
  const whole = (pattern) => pattern.replace(/<(\d+)>/g, (_, number) => classes[number]);
  return Object.fromEntries(
    Object.entries(patterns).map(([name, pattern]) => [name, new RegExp(whole(pattern), "gu")]),
  );
}

/** Whether a pattern is found in a text; those here are global, and would remember a place. */
export function isIn(text, pattern) {
  return text.search(pattern) >= 0;
}

export class Folding {
  constructor({ characters, patterns, classes }) {
    this.characters = characters;
    this.patterns = compiled(patterns, classes);
    const own = { assigned: characters.assigned + "+", combining: characters.combining };
    this.own = compiled(own, classes);
    this.casefold = new Map(Object.entries(characters.casefold));
  }

  /** The text in the spelling in which words are compared. */
  fold(text, language = "none") {
    if (language === "turkish") text = replaced(text, this.characters.turkish);
    if (ASCII.test(text)) return text.toLowerCase();
    const folded = this.caseless(this.normalized(text.toWellFormed(), "NFKC"));
    text = this.normalized(folded, "NFKC");
    if (isIn(text, this.patterns.SPECIAL)) {
      text = this.normalized(this.spelled(text, language), "NFKC");
    }
    return language === "persian" ? replaced(text, this.characters.persian) : text;
  }

  spelled(text, language) {
    const { DROPPED, LETTER, DIGIT, DOT, STRESS, ABBREVIATION, GREEK } = this.patterns;
    const { letters, digits } = this.characters;
    text = this.normalized(text.replace(DROPPED, ""), "NFKC");
    const isKept = (found) => language === "turkish" && found === "\u0131";
    text = text.replace(LETTER, (found) => (isKept(found) ? found : letters[found]));
    text = text.replace(DIGIT, (found) => String(digits[found]));
    for (const sign of [DOT, STRESS, ABBREVIATION]) text = text.replace(sign, "");
    return text.replace(GREEK, (found) =>
      this.normalized(found, "NFD").replace(this.own.combining, ""),
    );
  }

  /** A text in a normal form; what Python's Unicode does not know stays, as it does there. */
  normalized(text, form) {
    return text.replace(this.own.assigned, (known) => known.normalize(form));
  }

  caseless(text) {
    return Array.from(text, (one) => this.casefold.get(one) ?? one).join("");
  }

  /** Whether this browser knows every character that the index's Unicode has. */
  isKnown() {
    const unknown = /\p{Unassigned}/u;
    const shown = this.own.assigned.source.slice(1, -2);
    for (const [, first, last = first] of shown.matchAll(/\\u\{(\w+)\}(?:-\\u\{(\w+)\})?/g)) {
      for (let code = parseInt(first, 16); code <= parseInt(last, 16); code++) {
        if (unknown.test(String.fromCodePoint(code))) return false;
      }
    }
    return true;
  }
}

function replaced(text, table) {
  return Array.from(text, (one) => table[one] ?? one).join("");
}
