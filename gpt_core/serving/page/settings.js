// Sampling settings that explain themselves, and the link that holds them.

import { element, percent, visible } from "./tokens.js";

const number = (value) => Number(value.toFixed(2)).toString();

const SETTINGS = [
  {
    name: "temperature", short: "t", label: "Temperature", value: 0.8, min: 0, max: 2, step: 0.05,
    why(v) {
      if (v === 0) return "Always the likeliest token (greedy): the same text every time.";
      if (v < 1) return "Likely tokens become likelier: calmer text than the model's own.";
      if (v === 1) return "The probabilities as the model gives them.";
      return "Unlikely tokens become likelier: bolder text, with more mistakes.";
    },
  },
  {
    name: "top_p", short: "p", label: "Top-p", value: 1, min: 0.05, max: 1, step: 0.05,
    why: (v) =>
      v === 1
        ? "Off: any token can be drawn."
        : `Draws from the fewest tokens that together reach ${percent(v)}.`,
  },
  {
    name: "top_k", short: "k", label: "Top-k", value: 0, min: 0, max: 100, step: 1,
    why(v) {
      if (v === 0) return "Off: any token can be drawn.";
      return v === 1 ? "Draws the likeliest token only." : `Draws from the ${v} likeliest tokens.`;
    },
  },
  {
    name: "repetition_penalty", short: "r", label: "Repetition penalty", value: 1, min: 1, max: 2, step: 0.05,
    why: (v) =>
      v === 1
        ? "Off: a token may return as often as the model likes."
        : "Tokens that the text already has become less likely.",
  },
  {
    name: "max_tokens", short: "n", label: "Tokens", value: 80, min: 1, max: 512, step: 1,
    why: (v) => `Stops after ${v} ${v === 1 ? "token" : "tokens"}, or where the model ends the text.`,
  },
  {
    name: "samples", short: "s", label: "Samples", value: 1, min: 1, max: 4, step: 1,
    why: (v) => (v === 1 ? "One text." : `${v} texts side by side, each with a seed of its own.`),
  },
];

/** A distribution to show before there is a text. */
const EXAMPLE = [
  [" the", 0.34], [" a", 0.21], [" his", 0.13], [" town", 0.09], [" rain", 0.07],
  [" her", 0.05], [" snow", 0.04], [" old", 0.03], [" this", 0.02], [" one", 0.02],
].map(([text, p]) => [text, Math.log(p)]);

/** What temperature, top-k and top-p make of the likeliest tokens: a probability each, 0 if cut. */
export function reshape(logprobs, { temperature, top_k: topK, top_p: topP }) {
  const best = Math.max(...logprobs);
  const raised = logprobs.map((logprob) =>
    temperature === 0 ? Number(logprob === best) : Math.exp((logprob - best) / temperature),
  );
  const kept = raised.map((value, i) => (topK && i >= topK ? 0 : value));
  const mass = kept.reduce((sum, value) => sum + value, 0);
  let before = 0;
  const nucleus = kept.map((value) => {
    const inside = before < topP;
    before += value / mass;
    return inside ? value : 0;
  });
  const total = nucleus.reduce((sum, value) => sum + value, 0);
  return nucleus.map((value) => value / total);
}

export class Settings {
  #fields = new Map();
  #top = EXAMPLE;
  #preview = document.getElementById("preview");

  constructor(root, changed) {
    this.changed = changed;
    SETTINGS.forEach((setting) => root.append(this.#slider(setting)));
    root.append(this.#seed());
    this.#draw();
  }

  #slider({ name, label, value, min, max, step, why }) {
    const input = element("input", { type: "range", id: name, min, max, step, "aria-describedby": `${name}-why` });
    const shown = element("output", { for: name });
    const note = element("p", { id: `${name}-why`, class: "why" });
    const update = () => {
      shown.textContent = number(input.valueAsNumber);
      note.textContent = why(input.valueAsNumber);
    };
    input.value = value;
    update();
    input.addEventListener("input", () => {
      update();
      this.#draw();
      this.changed();
    });
    this.#fields.set(name, { input, update });
    return element("div", { class: "setting" }, element("label", { for: name, text: label }), shown, input, note);
  }

  #seed() {
    this.fixed = element("input", { type: "checkbox", id: "fixed", "aria-describedby": "seed-why" });
    this.seed = element("input", {
      type: "number", id: "seed", min: 0, max: 2 ** 31 - 1, step: 1, value: 1337, "aria-label": "Seed",
    });
    const note = element("p", { id: "seed-why", class: "why" });
    this.showSeed = () => {
      this.seed.disabled = !this.fixed.checked;
      note.textContent = this.fixed.checked
        ? "The same settings draw the same text again."
        : "Every text is drawn with a new seed, which is shown beside it.";
    };
    this.showSeed();
    for (const input of [this.fixed, this.seed]) {
      input.addEventListener("input", () => {
        this.showSeed();
        this.changed();
      });
    }
    const label = element("label", { for: "fixed", text: "Fixed seed" });
    return element("div", { class: "setting seed" }, this.fixed, label, this.seed, note);
  }

  #draw() {
    const logprobs = this.#top.map(([, logprob]) => logprob);
    const after = reshape(logprobs, this.values);
    const rows = this.#top.map(([text, logprob], i) => {
      const row = element(
        "li",
        { class: after[i] ? "" : "cut" },
        element("bdi", { text: visible(text) }),
        element("span", { class: "bars", "aria-hidden": "true" }),
        element("span", { class: "share", text: after[i] ? percent(after[i]) : "cut" }),
      );
      row.querySelector(".bars").style.setProperty("--before", Math.exp(logprob));
      row.querySelector(".bars").style.setProperty("--after", after[i]);
      return row;
    });
    const source = this.#top === EXAMPLE ? "an example" : "the token shown last";
    this.#preview.replaceChildren(
      element("p", { class: "why", text: `What they make of the likeliest tokens, for ${source}: pale is the model's own probability.` }),
      element("ul", {}, ...rows),
    );
  }

  /** Show what the settings make of these alternatives, [[text, logprob], ...]. */
  preview(top) {
    if (!top.length) return;
    this.#top = top;
    this.#draw();
  }

  get values() {
    return Object.fromEntries([...this.#fields].map(([name, { input }]) => [name, input.valueAsNumber]));
  }

  /** The body of a request, without model, prompt and seed; what is off is left out. */
  get sampling() {
    const { temperature, top_p, top_k, repetition_penalty, max_tokens } = this.values;
    return {
      temperature,
      max_tokens,
      ...(top_p < 1 && { top_p }),
      ...(top_k > 0 && { top_k }),
      ...(repetition_penalty > 1 && { repetition_penalty }),
    };
  }

  /** The fixed seed, or a new one. */
  nextSeed() {
    const typed = Math.trunc(this.seed.valueAsNumber);
    if (this.fixed.checked && typed >= 0) return typed;
    return Math.floor(Math.random() * 2 ** 31);
  }

  fixSeed(seed) {
    this.fixed.checked = true;
    this.seed.value = seed;
    this.showSeed();
    this.changed();
  }

  /** Limit the tokens to what the model has room for. */
  limit(tokens) {
    const { input, update } = this.#fields.get("max_tokens");
    input.max = tokens;
    update();
  }

  /** Write what differs from the start into the parameters of a link. */
  save(params) {
    const values = this.values;
    for (const { name, short, value } of SETTINGS) {
      if (values[name] !== value) params.set(short, number(values[name]));
    }
    if (this.fixed.checked) params.set("seed", this.seed.value);
  }

  /** Read the parameters of a link; what is no number changes nothing. */
  load(params) {
    for (const { name, short } of SETTINGS) {
      const { input, update } = this.#fields.get(name);
      const given = params.get(short);
      if (given !== null && Number.isFinite(Number(given))) input.value = given;
      update();
    }
    if (/^\d+$/.test(params.get("seed") ?? "")) {
      this.fixed.checked = true;
      this.seed.value = params.get("seed");
    }
    this.showSeed();
    this.#draw();
  }
}
