// Text as paragraphs of tokens, each coloured by its probability.

const STEPS = [0.9, 0.7, 0.5, 0.3, 0.15, 0.05, 0.01];

/** An element with a class, a text and attributes. */
export function element(name, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  if (text != null) made.textContent = text;
  made.append(...children);
  return made;
}

/** The step of the colour ramp, from 0 (likely) to 7 (surprising). */
export function step(probability) {
  const found = STEPS.findIndex((bound) => probability >= bound);
  return found < 0 ? STEPS.length : found;
}

/** 0.0312 as "3.1 %". */
export function percent(probability) {
  const value = probability * 100;
  return `${value >= 10 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(1) : "< 0.1"} %`;
}

/** A token's text with what is hard to see made visible: spaces, line ends, marks on letters. */
export function visible(text) {
  if (isSpecial(text)) return "end of the text";
  const shown = text.replaceAll(" ", "·").replaceAll("\n", "↵").replaceAll("\t", "⇥");
  return shown.replace(/^·?(?=\p{M})/u, "$&◌").replace(/^bytes:/, "") || "∅";
}

/** Whether it stands for no text, as the id that ends one does. */
export function isSpecial(text) {
  return /^<\|\w+\|>$/.test(text);
}

/**
 * Match streamed tokens to the streamed text.
 *
 * A letter can consist of several tokens, of which none is text by itself, and the end of a text
 * is held back while it may begin a stop string. Tokens that do not spell what arrived are joined
 * until the text and the tokens agree again.
 */
export class Aligner {
  #tokens = [];
  #text = "";

  /** Tokens whose text has arrived; with `last` the rest as well. */
  push(text, tokens, last = false) {
    this.#text += text;
    this.#tokens.push(...tokens);
    const ready = [];
    while (this.#text) {
      const first = this.#tokens[0];
      if (first?.text && this.#text.startsWith(first.text)) {
        ready.push(this.#take(1, first.text.length));
        continue;
      }
      if (first?.text && !last && first.text.startsWith(this.#text)) break;
      const [count, length] = this.#agree();
      ready.push(this.#take(count, length));
    }
    return ready;
  }

  /** How many tokens to join, and the length of their text. */
  #agree() {
    for (let i = 1; i < this.#tokens.length; i++) {
      const at = this.#tokens[i].text ? this.#text.indexOf(this.#tokens[i].text) : -1;
      if (at > 0) return [i, at];
    }
    return [this.#tokens.length, this.#text.length];
  }

  #take(count, length) {
    const taken = this.#tokens.splice(0, count);
    const text = this.#text.slice(0, length);
    this.#text = this.#text.slice(length);
    const known = taken.length > 0 && taken.every((token) => token.logprob != null);
    return {
      text,
      logprob: known ? taken.reduce((sum, token) => sum + token.logprob, 0) : null,
      top: taken.length === 1 ? taken[0].top : [],
    };
  }
}

/** A text in paragraphs, of which each finds its own direction. */
export class TokenText {
  constructor(root) {
    this.root = root;
    this.given = "";
    this.tokens = [];
    this.#paragraph();
  }

  /** The whole text, as it would be typed. */
  get text() {
    return this.given + this.tokens.map((token) => token.text).join("");
  }

  /** The text that was typed, before the first token. */
  give(text) {
    this.given = text;
    this.keep(this.tokens.length);
  }

  /** Keep the first tokens and forget the others. */
  keep(count) {
    const kept = this.tokens.slice(0, count);
    this.tokens = [];
    this.root.replaceChildren();
    this.#paragraph();
    this.#write(this.given, () => element("span", { class: "given" }));
    kept.forEach((token) => this.add(token));
  }

  add(token) {
    const index = this.tokens.push(token) - 1;
    const p = token.logprob == null ? null : step(Math.exp(token.logprob));
    this.#write(token.text, () =>
      element("span", {
        class: token.picked ? "token picked" : "token",
        "data-i": index,
        "data-p": p,
        tabindex: index === 0 ? "0" : "-1",
      }),
    );
  }

  #write(text, span) {
    text.split("\n").forEach((line, i) => {
      if (i > 0) {
        const mark = span();
        mark.classList.add("newline");
        this.last.append(mark);
        this.#paragraph();
      }
      if (!line) return;
      const part = span();
      part.textContent = line;
      this.last.append(part);
      if (/\p{L}/u.test(line)) this.last.dir = "auto";
      // A screen reader needs the language for its voice; the direction needs no help.
      if (/\p{Script=Arabic}/u.test(line)) this.last.lang = "ar";
    });
  }

  /** Until its first letter a paragraph has the direction of the one before. */
  #paragraph() {
    const before = this.root.lastChild;
    this.last = element("p", { dir: before ? getComputedStyle(before).direction : "auto" });
    this.root.append(this.last);
  }
}
