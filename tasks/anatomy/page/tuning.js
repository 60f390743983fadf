"use strict";
/* GPT-2's names, classification, instructions, LoRA. */

draw.names = (root, values) => {
  const own = values.tensors.filter(([, , ours]) => !/^h\.[1-9]/.test(ours));
  const shape = (dims) => `(${dims.join(", ")})`;
  figure(root, "One tensor, three names", `h0 stands for each of the ${values.blocks} blocks. Orange: a matrix that is stored the other way round and is transposed on its way in.`,
    table(["TensorFlow, OpenAI 2019", "there", "", "gptflow, Hugging Face", "here"], own.map(([theirs, , ours, flipped, dims]) => {
      const there = flipped ? [1, ...[...dims].reverse()] : dims;
      return [el("code", {}, theirs || "(tied)"), shape(there), flipped ? el("span", { style: "color:var(--warm)" }, "transpose") : "→", el("code", {}, ours), shape(dims)];
    })));
};

draw.classification = (root, values) => {
  let label = values.logits.indexOf(Math.max(...values.logits));
  const words = el("div", {}), text = el("p", { class: "changes", dir: "auto" });
  const plain = (name) => name.replaceAll("␣", " ");
  const show = () => {
    if (!values.changes) return;
    const changes = values.changes.map((row) => row[label]);
    const most = Math.max(...changes.map(Math.abs)) || 1;
    replace(text, ...values.words.map((word, i) => el("span", { title: fixed(changes[i], 3), style: `background:${signed((changes[i] / most) * UNDER_TEXT)};border-radius:.2rem` }, plain(word))));
    replace(words, ...values.words.map((word, i) => bar(plain(word).trim(), changes[i] / most, fixed(changes[i]), { both: true })));
  };
  figure(root, "What it says of the whole text", null, ...values.labels.map((name, i) => bar(name, values.probabilities[i], percent(values.probabilities[i]))));
  if (!values.changes) {
    root.append(el("p", { class: "note" }, "A text of one word has nothing to leave out."));
    return;
  }
  figure(root, "Which words moved it", "Each word was left out once. Blue: without it the logit of the class falls, so it speaks for the class; orange speaks against it.",
    el("div", { class: "controls" }, choice("class", values.labels.map((name, i) => [i, name]), label, (i) => { label = i; show(); })), text, words);
  show();
};

draw.instruction = (root, values) => {
  const most = Math.max(...values.losses.filter((v) => v !== null), 0.001);
  figure(root, "Where the loss counts", "Each token is an input. Grey: the target after it is masked, nothing is learned there. Blue: the target is part of the answer; the darker, the more surprised this model is by it.",
    el("div", { class: "chips", dir: direction(values.inputs) }, ...values.inputs.map((name, i) => {
      const loss = values.losses[i];
      return el("span", { class: "chip", dir: "auto", title: loss === null ? "masked" : `target ${values.targets[i]}, loss ${fixed(loss, 3)}`,
        style: loss === null ? "color:var(--soft)" : `background:${heat(0.1 + ((UNDER_TEXT - 0.1) * loss) / most)}` }, name);
    })));
  const rows = values.inputs.map((name, i) => [name, values.targets[i], values.losses[i]]).filter(([, target]) => target !== null);
  figure(root, "Its own answer, token by token", null, ...rows.map(([, target, loss]) => bar(target, loss / most, fixed(loss, 3))));
};

draw.low_rank = (root, values) => {
  const trained = values.updates.reduce((a, u) => a + u.parameters, 0);
  const change = (u) => (u.weight_norm ? u.norm / u.weight_norm : 0);
  const most = Math.max(...values.updates.map(change)) || 1;
  figure(root, `${count(trained)} trained parameters`, `${percent(trained / values.total)} of the ${count(values.total)} of the model. How far each matrix moved: the length of its update, as a share of the length of the matrix.`,
    ...values.updates.map((u) => bar(u.layer, change(u) / most, percent(change(u)))));
  const detail = el("div", {});
  const show = (i) => {
    const u = values.updates[i];
    const top = u.values[0] || 1;
    replace(detail, el("p", { class: "note" }, `The matrix is (${u.shape.join(", ")}), ${count(u.shape[0] * u.shape[1])} numbers; its update is B (${u.shape[0]}, ${u.rank}) times A (${u.rank}, ${u.shape[1]}), ${count(u.parameters)} numbers.`),
      ...u.values.map((v, k) => bar(`direction ${k + 1}`, v / top, fixed(v, 4))));
  };
  figure(root, "The rank of an update", "Its singular values: how far it stretches each of its directions. If most are short, a smaller rank would have done.",
    el("div", { class: "controls" }, choice("matrix", values.updates.map((u, i) => [i, u.layer]), 0, show)), detail);
  show(0);
};
