// One generated text: its tokens, its measurements, its buttons, and what a screen reader hears.

import { Aligner, element, TokenText } from "./tokens.js";

const ENDS = {
  length: "reached the limit of tokens",
  stop: "the model ended it",
  stopped: "stopped",
};

export class Card {
  /** `actions` is [[label, call], ...]: buttons below the text. */
  constructor({ model, title, actions }) {
    this.model = model;
    this.base = 0;
    this.busy = false;
    const name = element("h2", { text: title });
    this.seedButton = element("button", { type: "button", class: "seed", hidden: true });
    this.body = element("div", { class: "text", lang: "" });
    this.stats = element("p", { class: "stats" });
    this.voice = element("div", { class: "unseen", "aria-live": "polite", lang: "" });
    const buttons = [["Copy", () => this.copy()], ...actions].map(([label, call]) => {
      const button = element("button", { type: "button", text: label });
      button.addEventListener("click", () => call(this, button));
      return button;
    });
    this.copyButton = buttons[0];
    this.element = element(
      "article",
      { class: "card", "aria-label": title },
      element("header", {}, name, this.seedButton),
      this.body,
      element("footer", {}, this.stats, ...buttons),
      this.voice,
    );
    this.text = new TokenText(this.body);
  }

  /** A stream begins: measure from here, and add its tokens behind the present ones. */
  begin(seed, fixSeed) {
    this.base = this.text.tokens.length;
    this.busy = true;
    this.begun = performance.now();
    this.first = this.last = null;
    this.count = 0;
    this.aligner = new Aligner();
    this.unspoken = "";
    this.element.setAttribute("aria-busy", "true");
    this.element.classList.remove("failed");
    this.stats.textContent = "";
    this.seedButton.hidden = false;
    this.seedButton.textContent = `seed ${seed}`;
    this.seedButton.title = "Fix this seed";
    this.seedButton.onclick = () => fixSeed(seed);
  }

  receive({ text, tokens, finish }) {
    if (tokens.length || text) {
      this.last = performance.now();
      this.first ??= this.last;
      this.count += tokens.length || 1;
    }
    this.aligner.push(text, tokens, Boolean(finish)).forEach((token) => this.text.add(token));
    this.#speak(text);
    if (finish) this.end(ENDS[finish] || finish);
    else this.stats.textContent = this.#measured();
  }

  end(reason) {
    if (!this.busy) return;
    this.busy = false;
    this.element.setAttribute("aria-busy", "false");
    this.aligner.push("", [], true).forEach((token) => this.text.add(token));
    this.#speak("", true);
    this.stats.textContent = [this.#measured(), reason].filter(Boolean).join(" · ");
  }

  stop() {
    this.end(ENDS.stopped);
  }

  fail(message) {
    this.end("");
    this.element.classList.add("failed");
    this.stats.textContent = message;
  }

  #measured() {
    if (this.first === null) return "";
    const parts = [`${this.count} ${this.count === 1 ? "token" : "tokens"}`];
    if (this.count > 2) {
      const rate = ((this.count - 1) / (this.last - this.first)) * 1000;
      parts.push(`${rate < 10 ? rate.toFixed(1) : rate.toFixed(0)} a second`);
    }
    parts.push(`first after ${(this.first - this.begun).toFixed(0)} ms`);
    return parts.join(" · ");
  }

  /** Sentences are announced when they are finished; single tokens would make speech stammer. */
  #speak(text, rest = false) {
    this.unspoken += text;
    const finished = rest
      ? this.unspoken
      : (this.unspoken.match(/^[\s\S]*[.!?؟…。](?=\s)|^[\s\S]*\n/) || [""])[0];
    this.unspoken = this.unspoken.slice(finished.length);
    if (finished.trim()) this.voice.append(element("p", { text: finished.trim(), dir: "auto" }));
    while (this.voice.children.length > 20) this.voice.firstChild.remove();
  }

  async copy() {
    const label = this.copyButton.textContent;
    this.copyButton.textContent = (await copyText(this.text.text)) ? "Copied" : "Not allowed";
    setTimeout(() => (this.copyButton.textContent = label), 1500);
  }
}

/** Whether the browser let the text into the clipboard. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
