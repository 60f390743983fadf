"use strict";
/* The residual stream, the logit lens, training. */

draw.stream = (root, values) => {
  let position = values.names.length - 1;
  const sizes = el("div", {}), parts = el("div", {});
  const show = () => {
    const at = (rows) => rows.map((row) => row[position]);
    const all = [["embeddings", values.stream[0][position], "var(--c0)"]];
    values.attention.forEach((_, b) => all.push([`block ${b} attention`, at(values.attention)[b], "var(--c1)"], [`block ${b} feed-forward`, at(values.feed_forward)[b], "var(--c2)"]));
    const most = Math.max(...all.map(([, v]) => v), values.stream.at(-1)[position]);
    replace(sizes, ...all.map(([name, v]) => bar(name, v / most, fixed(v))), bar("the stream at the end", values.stream.at(-1)[position] / most, fixed(values.stream.at(-1)[position])));
    if (!values.answers) return;
    const answer = values.answers[position];
    const named = values.parts.map(([part, block, head], i) => [block === null ? part : head === null ? `${block} ${part}` : `${block}.${head} head`, answer.summands[i]]);
    const sorted = named.filter(([, v]) => v !== 0).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
    const shown = sorted.slice(0, 18), others = sorted.slice(18);
    if (others.length) shown.push([`${others.length} others`, others.reduce((a, [, v]) => a + v, 0)]);
    const largest = Math.max(...shown.map(([, v]) => Math.abs(v))) || 1;
    const sum = named.reduce((a, [, v]) => a + v, 0);
    replace(parts, el("p", {}, "Most likely next: ", el("span", { class: "chip colour1", dir: "auto" }, answer.name), ` with a logit of ${fixed(answer.logit)}`),
      ...shown.map(([name, v]) => bar(name, v / largest, fixed(v), { both: true })),
      el("p", { class: "note" }, `All ${named.length} parts add up to ${fixed(sum, 4)}; the model computed ${fixed(answer.logit, 4)}.`));
  };
  figure(root, "How much each part writes", "The length of each update at the chosen token.", picker(values.names, position, (i) => { position = i; show(); }, "Token"), sizes);
  if (values.answers) figure(root, "Which part said it", "Blue speaks for the token, orange against it. “0.2 head” is head 2 of block 0.", parts);
  show();
};

draw.lens = (root, values) => {
  const detail = el("div", {});
  const rows = values.lens.map((_, i) => (i === 0 ? "embeddings" : `block ${i - 1}`));
  const name = (id) => values.vocabulary[String(id)];
  const order = [...rows.keys()].reverse();
  const show = (depth, position) => {
    const [ids, p] = values.lens[depth][position];
    const next = values.names[position + 1];
    replace(detail, el("p", {}, `After ${rows[depth]}, at `, el("span", { class: "chip colour0", dir: "auto" }, values.names[position]),
      next === undefined ? ", the model would go on with" : ", where the line goes on with ", next === undefined ? "" : el("span", { class: "chip", dir: "auto" }, next), next === undefined ? ":" : ", it would say:"),
    ...ids.map((id, i) => bar(name(id), p[i], percent(p[i]))));
  };
  figure(root, "What it would say, layer by layer", "The last block is at the top. In each cell: the most likely next token if the model stopped there; the bluer, the more certain. Framed in orange: the token that the line really goes on with. Choose a cell.",
    el("div", {}, lensTable(order.map((i) => rows[i]), values, order, name, show)));
  figure(root, "The chosen cell", null, el("div", { class: "controls" },
    slider("depth", { min: 0, max: rows.length - 1, step: 1, value: rows.length - 1, show: (v) => rows[v] }, (v) => { chosen[0] = v; show(...chosen); })),
  picker(values.names, values.names.length - 1, (i) => { chosen[1] = i; show(...chosen); }, "Token"), detail);
  const chosen = [rows.length - 1, values.names.length - 1];
  show(...chosen);
};

function lensTable(rowNames, values, order, name, show) {
  const made = heatmap(rowNames, values.names, (r, c) => values.lens[order[r]][c][1][0],
    (r, c) => ({ text: name(values.lens[order[r]][c][0][0]), hint: percent(values.lens[order[r]][c][1][0]) }), (r, c) => show(order[r], c));
  made.querySelectorAll("tbody tr").forEach((row, r) => row.querySelectorAll("td").forEach((cell, c) => {
    if (values.lens[order[r]][c][0][0] === values.ids[c + 1]) cell.style.outline = "2px solid var(--warm)";
  }));
  return made;
}

draw.training = (root, values) => {
  const train = values.curves["train/loss"], validation = values.curves["validation/loss"], rate = values.curves["train/learning_rate"];
  if (train.length > 1) {
    figure(root, "The loss of this run", "In nats per token: e to the power of the loss is how many tokens the model hesitates between.",
      legend([["training", "var(--c0)"], ...(validation.length ? [["validation", "var(--c1)"]] : [])]),
      lines([{ points: train, colour: "var(--c0)" }, ...(validation.length ? [{ points: validation, colour: "var(--c1)", dots: true }] : [])], { x: "step", y: "loss" }));
    figure(root, "The learning rate", null, lines([{ points: rate, colour: "var(--c2)" }], { x: "step", y: "learning rate", height: 150 }));
  } else {
    root.append(el("p", { class: "note" }, "The steps of this model's training are not recorded beside it: it was imported or fine-tuned. A model that gptflow pretrained shows its curves and samples here."));
  }
  if (values.samples.length) {
    figure(root, "What it wrote, from first to last", null, ...values.samples.map(([step, prompt, text]) =>
      el("div", { class: "said", dir: "auto" }, el("b", { dir: "ltr" }, `step ${count(step)}`), el("span", { style: "color:var(--soft)" }, prompt), text)));
  }
  if (values.gradients) {
    const rows = values.gradients.map((_, i) => (i === values.gradients.length - 1 ? "after all" : `before block ${i}`));
    const most = Math.max(...values.gradients.flat()) || 1;
    const order = [...rows.keys()].reverse();
    figure(root, "The gradient of one token walks back", `The loss of the last token, ${values.names.at(-1)}: how strongly it pulls at the stream of each earlier token. In percent of the strongest pull. It starts at the top, at the token before; attention carries it to the left, block by block.`,
      heatmap(order.map((i) => rows[i]), values.names, (r, c) => Math.sqrt(values.gradients[order[r]][c] / most),
        (r, c) => ({ text: values.gradients[order[r]][c] ? percent(values.gradients[order[r]][c] / most) : "", hint: `norm ${values.gradients[order[r]][c]}` })));
    const map = root.lastElementChild.querySelector(".scroll");
    map.scrollLeft = map.dir === "rtl" ? -map.scrollWidth : map.scrollWidth;
  }
};
