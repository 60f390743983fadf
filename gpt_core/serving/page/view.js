// The words of each mode, and what it shows: texts side by side, questions above answers, classes.

import { element, percent } from "./tokens.js";

/** What each mode is for, and which models can do it. */
export const MODES = {
  write: {
    kinds: ["pretrained", "instruction"],
    purpose: "A language model continues a text. Begin one, and look at what it finds likely.",
    label: "The text begins",
    example: "In winter …",
    go: "Write on",
    hint: "Ctrl + Enter",
  },
  ask: {
    kinds: ["instruction"],
    purpose: "A model that was tuned to follow instructions. Each question stands alone.",
    label: "Your question",
    example: "Who laughed?",
    go: "Ask",
    hint: "Enter sends, Shift + Enter begins a line",
  },
  classify: {
    kinds: ["classifier"],
    purpose: "A classifier says how probable each of its classes is for a text.",
    label: "The text",
    example: "Shall we meet at noon?",
    go: "Classify",
    hint: "Ctrl + Enter",
  },
};

/** Cards side by side: a column for each model, or for each sample. */
export function side(cards, models) {
  const grid = element("div", { class: "grid" }, ...cards);
  const columns = models > 1 ? models : cards.length === 4 ? 2 : cards.length;
  grid.style.setProperty("--columns", columns);
  grid.classList.toggle("several", cards.length > 1);
  return grid;
}

/** What was asked, above the place of the answers. */
export function turnOf(text, about = "") {
  const asked = element("div", { class: "question", lang: "" });
  if (about) asked.append(element("p", { class: "about", dir: "auto", text: about }));
  asked.append(element("p", { dir: "auto", text }));
  return element("section", { class: "turn", "aria-label": text.slice(0, 80) }, asked);
}

/** The probability of each class as a bar. */
export function bars(model, classes) {
  const rows = classes.map(([label, probability], i) => {
    const bar = element("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", probability);
    return element(
      "li",
      { class: i === 0 ? "best" : "" },
      element("bdi", { text: label }),
      bar,
      element("span", { class: "share", text: percent(probability) }),
    );
  });
  const heading = element("header", {}, element("h2", { text: model }));
  return element("article", { class: "card", "aria-label": model }, heading, element("ul", { class: "classes" }, ...rows));
}
