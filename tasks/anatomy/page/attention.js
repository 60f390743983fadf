"use strict";
/* Attention: one head by hand, all heads as maps. */

const KINDS = { previous: "token before", first: "first token", same: "itself", induction: "induction" };

/* The lower triangle of a head's weights, bytes to shares. */
function unpack(text, n) {
  const bytes = atob(text);
  const rows = [];
  for (let r = 0, i = 0; r < n; r++) {
    rows.push(Array.from({ length: r + 1 }, () => bytes.charCodeAt(i++) / 255));
  }
  return rows;
}

function paint(canvas, weights) {
  const n = weights.length;
  canvas.width = canvas.height = n;
  const context = canvas.getContext("2d");
  const [r, g, b] = getComputedStyle(document.documentElement).getPropertyValue("--heat").split(",").map(Number);
  const image = context.createImageData(n, n);
  weights.forEach((row, y) => row.forEach((w, x) => image.data.set([r, g, b, Math.round(255 * Math.sqrt(w))], 4 * (y * n + x))));
  context.putImageData(image, 0, 0);
}

draw.attention = (root, values) => {
  byHand(root, values);
  allHeads(root, values);
};

function byHand(root, values) {
  let hand = values.by_hand[0];
  let query = Math.min(values.by_hand[0].query.length - 1, 4);
  const body = el("div", {});
  const names = values.names.slice(0, hand.query.length);
  const show = () => {
    const D = hand.query[0].length, q = hand.query[query];
    let key = hand.weights[query].slice(0, query + 1).reduce((best, w, i, all) => (w > all[best] ? i : best), 0);
    const k = hand.key[key];
    const products = q.map((v, i) => v * k[i]);
    const sum = products.reduce((a, b) => a + b, 0);
    const shifted = hand.scores[query].slice(0, query + 1);
    const top = Math.max(...shifted);
    const total = shifted.reduce((a, s) => a + Math.exp(s - top), 0);
    replace(body,
      table(["", ...q.map((_, i) => `${i + 1}`), ""], [
        [`query of ${names[query]}`, ...q.map((v) => fixed(v)), ""],
        [`key of ${names[key]}`, ...k.map((v) => fixed(v)), ""],
        ["product", ...products.map((v) => fixed(v)), `sum ${fixed(sum)}`],
      ], [...Array(D + 2).keys()].slice(1)),
      el("p", { class: "note" }, `score = sum / √D = ${fixed(sum)} / √${D} = ${fixed(sum / Math.sqrt(D))}: how well that key answers that query. The same for every key:`),
      table(["key", "score", "mask", `exp(score − ${fixed(top)})`, "weight", ""], names.map((name, i) => {
        const seen = i <= query;
        const e = seen ? Math.exp(hand.scores[query][i] - top) : 0;
        return [el("span", { class: "chip", dir: "auto" }, name), seen ? fixed(hand.scores[query][i]) : "–", seen ? "seen" : "−∞, comes later",
          fixed(e, 3), fixed(hand.weights[query][i], 3),
          el("span", { class: "bar", style: "display:block;width:7rem" }, el("span", { class: "track" }, el("span", { class: "fill", style: `width:${100 * hand.weights[query][i]}%;left:0` })))];
      }), [1, 3, 4]),
      el("p", { class: "note" }, `The column of exp adds up to ${fixed(total, 3)}; divided by that, the weights add up to 1.`));
  };
  figure(root, "One head, by hand", `The first ${names.length} tokens, in numbers. Choose the token that asks.`,
    el("div", { class: "controls" }, choice("block", values.by_hand.map((h, i) => [i, `block ${h.block}, head ${h.head}`]), 0, (i) => { hand = values.by_hand[i]; show(); })),
    picker(names, query, (i) => { query = i; show(); }, "Query"), body);
  show();
}

/* The head whose measured kind is the clearest. */
function clearest(values) {
  if (!values.scores) return [0, 0];
  let best = [0, 0], most = -1;
  for (const name of ["previous", "induction"]) {
    values.scores[name].forEach((row, b) => row.forEach((score, h) => {
      if (score > most) [most, best] = [score, [b, h]];
    }));
  }
  return best;
}

function allHeads(root, values) {
  const n = values.names.length;
  let position = n - 1, at = clearest(values);
  const large = el("canvas", { style: "width:100%;max-width:26rem;aspect-ratio:1;border:1px solid var(--line)", role: "img", "aria-label": "weights of the chosen head" });
  const row = el("div", {}), title = el("p", { class: "note" });
  const cache = new Map();
  const weights = ([b, h]) => {
    const key = `${b}.${h}`;
    if (!cache.has(key)) cache.set(key, unpack(values.maps[b][h], n));
    return cache.get(key);
  };
  const show = () => {
    const found = weights(at);
    paint(large, found);
    const kind = values.kinds[at[0]][at[1]];
    const measured = values.scores ? Object.entries(KINDS).map(([key, name]) => `${name} ${percent(values.scores[key][at[0]][at[1]])}`).join(", ") : "the context is too short to measure";
    title.textContent = `Block ${at[0]}, head ${at[1]}: ${kind ? "attends to the " + KINDS[kind].replace("itself", "token itself").replace("induction", "token after the same token (induction)") : "none of the known kinds"}. Measured on repeated random tokens: ${measured}.`;
    const listed = found[position].map((w, i) => [w, i]).sort((a, b) => b[0] - a[0]).slice(0, 10);
    replace(row, ...listed.map(([w, i]) => bar(`${i} ${values.names[i]}`, w, percent(w))));
  };
  const buttons = [];
  const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (!entry.isIntersecting) return;
    seen.unobserve(entry.target);
    paint(entry.target.querySelector("canvas"), weights(entry.target.at));
  }), { rootMargin: "200px" });
  const grid = el("div", { class: "heads", role: "group", "aria-label": "All heads" }, ...values.maps.flatMap((block, b) => block.map((_, h) => {
    const kind = values.kinds[b][h];
    const button = el("button", { type: "button", "aria-pressed": b === at[0] && h === at[1], "aria-label": `block ${b}, head ${h}${kind ? ", " + KINDS[kind] : ""}` },
      el("canvas", { width: 1, height: 1 }), `${b}.${h}`, el("span", { class: "kind" }, kind ? KINDS[kind] : ""));
    button.at = [b, h];
    button.addEventListener("click", () => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
      at = button.at;
      show();
    });
    buttons.push(button);
    seen.observe(button);
    return button;
  })));
  figure(root, "Every head", "Rows are the tokens that ask, columns those that are asked, both from the first to the last; the darker, the more. What a head is known to do is measured, with a threshold of 40 %.", grid);
  figure(root, "The chosen head", null, title, large,
    el("p", { class: "note" }, "What one token takes from where:"), picker(values.names, position, (i) => { position = i; show(); }, "Query"), row);
  show();
}
