"use strict";
/* Decoding: the distribution under temperature, top-k and top-p. */

/* The probabilities that the model samples from: temperature, then top-k, then top-p.
   rest are bins [logit, count] of the tokens that are not listed one by one. */
function distribution(logits, rest, temperature, k, p) {
  const top = logits[0];
  if (temperature === 0) return logits.map((_, i) => (i === 0 ? 1 : 0));
  const mass = logits.map((logit) => Math.exp((logit - top) / temperature));
  const others = rest.reduce((sum, [logit, n]) => sum + n * Math.exp((logit - top) / temperature), 0);
  const last = k > 0 ? logits[Math.min(k, logits.length) - 1] : -Infinity;
  let kept = mass.map((m, i) => (logits[i] >= last ? m : 0));
  let total = kept.reduce((a, b) => a + b, 0) + (k > 0 ? 0 : others);
  let before = 0;
  kept = kept.map((m) => {
    const keep = p >= 1 || before < p * total;
    before += m;
    return keep ? m : 0;
  });
  if (p < 1) total = kept.reduce((a, b) => a + b, 0);
  return kept.map((m) => m / total);
}

draw.decoding = (root, values) => {
  const chosen = { temperature: 1, k: 0, p: 1 };
  const bars = el("div", { id: "decoding-bars", "aria-live": "polite" }), note = el("p", { class: "note" });
  const show = () => {
    const found = distribution(values.logits, values.rest, chosen.temperature, chosen.k, chosen.p);
    const plain = distribution(values.logits, values.rest, 1, 0, 1);
    replace(bars, ...found.slice(0, 16).map((p, i) => bar(values.names[i], p, percent(p), { out: p === 0 })));
    const left = found.filter((p) => p > 0).length + (chosen.k === 0 && chosen.p >= 1 && chosen.temperature > 0 ? values.rest.reduce((a, [, n]) => a + n, 0) : 0);
    const entropy = found.reduce((a, p) => a - (p > 0 ? p * Math.log2(p) : 0), 0);
    note.textContent = `${count(left)} tokens can be drawn; entropy ${fixed(entropy, 2)} bits. Without any of this, ${values.names[0]} has ${percent(plain[0])}.`;
  };
  const most = Math.min(100, values.logits.length);
  figure(root, "The next token", "Move the sliders: the bars are recomputed here, from the model's own logits.",
    el("div", { class: "controls" },
      slider("temperature", { min: 0, max: 2, step: 0.05, value: 1, show: (v) => (v === 0 ? "greedy" : fixed(v)) }, (v) => { chosen.temperature = v; show(); }),
      slider("top-k", { min: 0, max: most, step: 1, value: 0, show: (v) => (v === 0 ? "all" : v) }, (v) => { chosen.k = v; show(); }),
      slider("top-p", { min: 0.05, max: 1, step: 0.05, value: 1, show: (v) => (v >= 1 ? "all" : fixed(v)) }, (v) => { chosen.p = v; show(); })),
    bars, note);
  show();
  const said = (name, text) => el("div", { class: "said", dir: "auto" }, el("b", { dir: "ltr" }, name), el("span", { style: "color:var(--soft)" }, values.prompt), text);
  figure(root, "Three ways to continue", "Greedy takes the most likely token every time. Sampling draws, so that each seed says something else. Beam search looks for the continuation that is the most probable as a whole.",
    said("greedy", values.greedy), ...values.sampled.map((text, i) => said(`sampled, seed ${i}`, text)),
    ...values.beams.map(([text, log]) => said(`beam, log-probability ${fixed(log)}`, text)));
};
