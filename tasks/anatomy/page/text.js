"use strict";
/* Cleaning, tokens, windows, embeddings. */

draw.cleaning = (root, values) => {
  /* What has no width of its own is made visible: marks on a circle, others by code point. */
  const point = (c) => "U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  const shown = (text) => {
    const hidden = [...text].every((c) => /[\p{M}\p{C}\p{Z}\s]/u.test(c));
    return hidden ? [...text].map((c) => (c === " " ? "␣" : /\p{M}/u.test(c) ? "◌" + c : point(c))).join("") : null;
  };
  const mark = ([kind, text]) => {
    if (kind === "kept") return text;
    const label = shown(text);
    return el(kind === "removed" ? "del" : "ins", label ? { class: "mark", "data-shown": label, title: [...text].map(point).join(" ") } : {}, label ? "" : text);
  };
  figure(root, "The raw line", `Rules for ${values.language} apply, by the script of most letters.`,
    el("p", { class: "changes", dir: "auto" }, values.raw));
  if (!values.steps.length) {
    root.append(el("p", { class: "note" }, "No rule found anything to remove: this line was clean. Try one with accents of vowels, control characters or doubled spaces."));
  }
  values.steps.forEach((step) => figure(root, step.rule.replaceAll("_", " "),
    step.removed > 0 ? `${count(step.removed)} code point${step.removed === 1 ? "" : "s"} fewer` : "as many code points as before, others in their place",
    el("p", { class: "changes", dir: "auto" }, ...step.changes.map(mark))));
  figure(root, "What is left", null, el("p", { class: "changes", dir: "auto" }, values.cleaned));
};

draw.tokens = (root, values) => {
  const detail = el("div", {});
  const show = (index) => {
    const token = values.tokens[index];
    replace(detail, table(["token", "id", "characters", "code points", "bytes"],
      [[token.name, token.id, token.characters.join(" · ") || "part of one", token.points.join(" ") || "–", token.bytes || "none: special"]]));
  };
  const row = picker(values.tokens.map((token) => token.name), Math.min(1, values.tokens.length - 1), show, "Token");
  [...row.children].forEach((chip, i) => chip.classList.add(`colour${i % 4}`));
  figure(root, "The line in tokens", `${values.kind}, a vocabulary of ${count(values.vocabulary)}. ␣ is a space, ⟨…⟩ bytes that are no whole character. Choose a token.`, row, detail);
  show(Math.min(1, values.tokens.length - 1));
  const most = Math.max(...Object.values(values.counts));
  figure(root, "The same line, counted", null, ...Object.entries(values.counts).map(([name, n]) => bar(name, n / most, count(n))));
  if (values.merging) merging(root, values.merging);
  if (values.path) path(root, values.path);
};

function merging(root, pieces) {
  const longest = pieces.reduce((best, piece, i) => (piece.steps.length > pieces[best].steps.length ? i : best), 0);
  const steps = el("div", {});
  const show = (index) => replace(steps, ...pieces[index].steps.map((step, i) =>
    el("div", { class: "chips", dir: "auto", style: "margin:.25rem 0" }, el("span", { class: "note", style: "min-width:4.5rem" }, i ? `merge ${i}` : "bytes"),
      ...step.map((token, k) => {
        const fresh = i > 0 && token !== pieces[index].steps[i - 1][k] && !pieces[index].steps[i - 1].slice(k).includes(token);
        return el("span", { class: "chip", dir: "auto", style: fresh ? "outline:2px solid var(--accent)" : "" }, token);
      }))));
  figure(root, "How a piece was merged", "It starts as bytes. At each step the pair that training merged first becomes one token (framed).",
    picker(pieces.map((piece) => piece.piece), longest, show, "Piece of the text"), steps);
  show(longest);
}

function path(root, steps) {
  figure(root, "The most probable path", "Unigram scores every piece; the path whose scores add up to the most wins. Beside each piece: what else could have ended there, and the total it would have had.",
    table(["piece", "log-probability", "total so far", "rivals (their totals)"],
      steps.map((step) => [el("span", { class: "chip", dir: "auto" }, step.piece), fixed(step.score), fixed(step.total),
        step.rivals.map(([piece, total]) => `${piece} (${fixed(total, 1)})`).join("  ") || "none"]), [1, 2]));
}

draw.windows = (root, values) => {
  let length = Math.min(4, Math.max(1, values.ids.length - 1));
  let stride = length;
  const body = el("div", {});
  const show = () => {
    const starts = [];
    for (let s = 0; s + length < values.ids.length && starts.length < 12; s += stride) starts.push(s);
    if (!starts.length) {
      replace(body, el("p", { class: "note" }, "One token alone has no next token to learn from: a window needs a token more than its length."));
      return;
    }
    const chips = (from, colour) => el("div", { class: "chips", dir: direction(values.names) }, ...values.names.slice(from, from + length).map((name, i) =>
      el("span", { class: `chip ${colour}`, dir: "auto", title: `position ${from + i}, id ${values.ids[from + i]}` }, name)));
    replace(body, table(["sample", "inputs", "targets: the same, one later"],
      starts.map((s, i) => [i, chips(s, "colour0"), chips(s + 1, "colour1")])),
    el("p", { class: "note" }, `A batch of size ${starts.length}: inputs of shape (${starts.length}, ${length}), targets of the same shape. Each position is one question, what comes next: ${count(starts.length * length)} in all.`));
  };
  figure(root, "Inputs and targets", `This model was trained on windows of ${count(values.context)} tokens; here they are short enough to read.`,
    el("div", { class: "controls" },
      slider("window", { min: 1, max: Math.max(1, Math.min(12, values.ids.length - 1)), step: 1, value: length }, (v) => { length = v; show(); }),
      slider("stride", { min: 1, max: Math.max(1, Math.min(12, values.ids.length - 1)), step: 1, value: stride }, (v) => { stride = v; show(); })),
    body);
  show();
};

draw.embeddings = (root, values) => {
  const strips = el("div", {});
  const near = el("div", {});
  const most = Math.max(...values.token.flat().map(Math.abs), ...values.position.flat().map(Math.abs)) || 1;
  const strip = (name, vector) => el("tr", {}, el("th", {}, name), ...vector.map((v) =>
    el("td", { style: `padding:0;width:.62rem;min-width:.62rem;height:1.4rem;border:0;background:${signed(v / most)}`, title: fixed(v, 3) })));
  const show = (index) => {
    const sum = values.token[index].map((v, i) => v + values.position[index][i]);
    replace(strips, el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "vectors" }, el("table", { dir: "ltr" },
      strip(`token ${values.names[index]}`, values.token[index]), strip(`position ${index}`, values.position[index]), strip("their sum", sum))));
    replace(near, ...values.nearest[String(values.ids[index])].map(([name, similarity]) => bar(name, similarity, fixed(similarity, 3), { both: true })));
    map(index);
  };
  const picture = el("div", {});
  const xs = values.points.map((p) => p.xy[0]), ys = values.points.map((p) => p.xy[1]);
  const scale = (v, all, low, high) => low + ((v - Math.min(...all)) / (Math.max(...all) - Math.min(...all) || 1)) * (high - low);
  const map = (index) => {
    const made = svg("svg", { viewBox: "0 0 620 400", role: "img", "aria-label": "map of token embeddings" });
    const order = [...values.points].sort((a, b) => (a.own - b.own) || ((a.id === values.ids[index]) - (b.id === values.ids[index])));
    for (const point of order) {
      const x = scale(point.xy[0], xs, 40, 560), y = scale(point.xy[1], ys, 380, 20);
      const here = point.id === values.ids[index];
      made.append(svg("circle", { cx: x, cy: y, r: here ? 7 : point.own ? 5 : 2.5, fill: here ? "var(--warm)" : point.own ? "var(--accent)" : "var(--soft)" }),
        svg("text", { x: x + 8, y: y + 4, class: point.own ? "" : "soft", style: `font-size:${here ? 15 : point.own ? 12 : 10}px;font-weight:${here ? 700 : 400}` }, point.name));
    }
    replace(picture, made);
  };
  figure(root, "Two vectors become one", `The first ${values.token[0].length} of ${values.width} numbers: blue above zero, orange below. Choose a token.`,
    picker(values.names, Math.min(1, values.names.length - 1), show, "Token"), strips);
  figure(root, "Its nearest tokens", "By the cosine of the angle between embeddings, over the whole vocabulary: 1 points the same way.", near);
  figure(root, "A map of the neighbourhood", "The tokens of the line (blue) and their neighbours, flattened to the two directions in which they differ most.", picture);
  show(Math.min(1, values.names.length - 1));
};
