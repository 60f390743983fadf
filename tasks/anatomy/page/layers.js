"use strict";
/* The skeleton, norms and neurons. */

draw.skeleton = (root, values) => {
  const s = values.shape;
  const groups = new Map();
  for (const [name, shape, n] of values.parameters) {
    const block = name.match(/^h\.(\d+)\.(\w+)/);
    const group = block ? { attn: "attention", mlp: "feed-forward" }[block[2]] || "norms" : { wte: "token embedding", wpe: "position embedding", ln_f: "norms", lm_head: "head" }[name.split(".")[0]];
    groups.set(group, (groups.get(group) || 0) + n);
  }
  const T = s.tokens, C = s.width;
  const boxes = [
    ["token ids", `(${T})`, ""],
    ["token + position embedding", `(${T}, ${C})`, "c0"],
    [`${s.blocks} blocks, each adds to the stream`, "", "block"],
    ["final norm", `(${T}, ${C})`, "c3"],
    [s.tied ? "head: the token embedding again" : "head", `(${T}, ${s.vocabulary})`, "c0"],
  ];
  const inner = [
    ["norm", `(${T}, ${C})`, "c3"],
    [`attention, ${s.heads} heads of ${C / s.heads}: query, key, value`, `3 × (${s.heads}, ${T}, ${C / s.heads})`, "c1"],
    ["norm", `(${T}, ${C})`, "c3"],
    ["feed-forward: wide, GELU, back", `(${T}, ${4 * C}) → (${T}, ${C})`, "c2"],
  ];
  const box = ([name, shape, colour]) => el("div", { style: `display:flex;flex-wrap:wrap;justify-content:space-between;gap:.2rem 1rem;padding:.35rem .7rem;margin:.25rem 0;border-radius:.4rem;border:1px solid var(--line);${colour ? `border-inline-start:.4rem solid var(--${colour})` : ""}` },
    el("span", {}, name), el("code", { class: "small" }, shape));
  figure(root, "From ids to logits", `The shapes for this line of ${T} tokens; (rows, numbers in each).`, ...boxes.map((entry) => (entry[2] === "block"
    ? el("div", { style: "border:1px dashed var(--soft);border-radius:.5rem;padding:.5rem .7rem;margin:.3rem 0" }, el("div", { class: "note" }, entry[0]), ...inner.map(box)) : box(entry))));
  const sorted = [...groups].sort((a, b) => b[1] - a[1]);
  figure(root, `${count(values.total)} parameters`, `The parts add up: ${sorted.map(([, n]) => count(n)).join(" + ")} = ${count(sorted.reduce((a, [, n]) => a + n, 0))}.`,
    ...sorted.map(([name, n]) => bar(name, n / values.total, percent(n / values.total))));
  const own = values.parameters.filter(([name]) => !/^h\.[1-9]/.test(name));
  figure(root, "Every matrix", s.blocks > 1 ? `h.0 is the first of ${s.blocks} equal blocks.` : null,
    table(["parameter", "shape", "count"], own.map(([name, shape, n]) => [el("code", {}, name), `(${shape.join(", ")})`, count(n)]), [2]));
};

draw.norms = (root, values) => {
  let chosen = 0;
  const body = el("div", {});
  const dots = (vector, label, scale, colour) => {
    const made = svg("svg", { viewBox: "0 0 620 120", role: "img", "aria-label": label });
    made.append(svg("line", { class: "axis", x1: 10, x2: 610, y1: 60, y2: 60 }));
    vector.forEach((v, i) => {
      const x = 12 + (i * 596) / Math.max(1, vector.length - 1), y = 60 - (Math.max(-1, Math.min(1, v / scale)) * 54);
      made.append(svg("line", { x1: x, x2: x, y1: 60, y2: y, stroke: colour, "stroke-width": 5 }));
    });
    return el("div", {}, el("div", { class: "note" }, label), made);
  };
  const show = () => {
    const norm = values.norms[chosen];
    const scale = Math.max(...norm.before.map(Math.abs), ...norm.after.map(Math.abs)) || 1;
    const last = values.names.length - 1;
    replace(body,
      dots(norm.before, `${values.names[last]} before ${norm.name}: mean ${fixed(norm.mean[last], 3)}, standard deviation ${fixed(norm.deviation[last], 3)}`, scale, "var(--c4)"),
      dots(norm.after, `after: mean ${fixed(norm.mean_after[last], 3)}, standard deviation ${fixed(norm.deviation_after[last], 3)} (1 before the learned scale and shift)`, scale, "var(--c0)"));
  };
  figure(root, "One vector, before and after", `The first ${values.norms[0].before.length} numbers of the last token, on the same scale.`,
    el("div", { class: "controls" }, choice("norm", values.norms.map((norm, i) => [i, norm.name]), 0, (i) => { chosen = i; show(); })), body);
  show();
  const most = Math.max(...values.norms.flatMap((norm) => norm.deviation));
  figure(root, "Standard deviation of each token before every norm", "The stream grows with depth, because every block adds to it. The norms hide that from the layers that read it.",
    heatmap(values.norms.map((norm) => norm.name), values.names, (r, c) => values.norms[r].deviation[c] / most,
      (r, c) => ({ text: fixed(values.norms[r].deviation[c]), hint: `mean ${fixed(values.norms[r].mean[c], 3)}` }), (r) => { chosen = r; show(); }));
};

/* GELU in the tanh approximation, as in the model. */
const gelu = (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

draw.neurons = (root, values) => {
  let block = 0, position = values.names.length - 1;
  const curve = el("div", {}), map = el("div", {});
  const show = () => {
    const found = values.blocks[block];
    const made = svg("svg", { viewBox: "0 0 620 300", role: "img", "aria-label": "GELU and the neurons' inputs" });
    const px = (v) => 310 + Math.max(-6, Math.min(6, v)) * 48, py = (v) => 250 - Math.max(-0.5, Math.min(6, v)) * 38;
    const most = Math.max(...found.histogram);
    found.histogram.forEach((n, i) => made.append(svg("rect", { x: px(-6 + i * 0.2), y: 290 - 90 * (n / most), width: 8.6, height: 90 * (n / most), fill: "var(--line)" })));
    made.append(svg("line", { class: "axis", x1: 20, x2: 600, y1: py(0), y2: py(0) }));
    const points = Array.from({ length: 121 }, (_, i) => -6 + i / 10);
    made.append(svg("path", { d: points.map((v, i) => `${i ? "L" : "M"}${px(v)} ${py(gelu(v))}`).join(""), fill: "none", stroke: "var(--accent)", "stroke-width": 2.5 }));
    found.neurons.forEach((neuron, i) => made.append(svg("circle", { cx: px(found.before[i][position]), cy: py(found.after[i][position]), r: 5, fill: "var(--warm)", "fill-opacity": 0.8 })));
    for (const tick of [-4, -2, 0, 2, 4]) made.append(svg("text", { class: "soft", x: px(tick), y: 298, "text-anchor": "middle" }, fixed(tick, 0)));
    replace(curve, made, el("p", { class: "note" }, `Grey: the inputs of all ${count(values.n_neurons)} neurons of block ${block} over the whole line; ${percent(found.firing)} of the outputs are above zero. Orange: the neurons below, for ${values.names[position]}.`));
    const top = Math.max(...found.after.flat(), 0.001);
    replace(map, heatmap(found.neurons.map((n) => `neuron ${n}`), values.names, (r, c) => found.after[r][c] / top,
      (r, c) => ({ text: fixed(found.after[r][c], 1), hint: `before GELU ${fixed(found.before[r][c], 3)}` }), (r, c) => { position = c; show(); }));
  };
  figure(root, "GELU", null, el("div", { class: "controls" },
    choice("block", values.blocks.map((_, i) => [i, String(i)]), 0, (i) => { block = i; show(); })),
    picker(values.names, position, (i) => { position = i; show(); }, "Token"), curve);
  figure(root, "The neurons that fire the most", "Rows are neurons, columns the tokens of the line; blue fires. Look for a row that fires for one kind of token only.", map);
  show();
};
