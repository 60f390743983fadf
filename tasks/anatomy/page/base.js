"use strict";
/* Shared by all chapters: elements, pickers, scales. draw.NAME(root, values) draws a chapter. */
const DATA = JSON.parse(document.getElementById("data").textContent);
const draw = {};

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style") node.style.cssText = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style") node.style.cssText = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function figure(root, title, caption, ...content) {
  const made = el("figure", {}, el("h3", {}, title), caption ? el("figcaption", {}, caption) : null, ...content);
  root.append(made);
  return made;
}

function replace(node, ...children) {
  node.replaceChildren(...children);
  return node;
}

/* Numbers with a real minus sign. */
function fixed(value, digits = 2) {
  if (value === null) return "−∞";
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? "−" + text : text;
}
const percent = (p) => (p >= 0.0995 ? Math.round(100 * p) + " %" : (100 * p).toFixed(p < 0.001 ? 2 : 1) + " %");
const count = (n) => n.toLocaleString("en");
const heat = (share) => `rgba(var(--heat), ${Math.max(0, Math.min(1, share))})`;
const signed = (share) =>
  share < 0 ? `rgba(var(--cool), ${Math.min(1, -share)})` : `rgba(var(--heat), ${Math.min(1, share)})`;
/* Under text a colour stays so light that the text can be read. */
const UNDER_TEXT = 0.45;

/* A row of tokens of which one is chosen: arrow keys move, as in a group of radio buttons. */
function picker(names, chosen, onPick, label) {
  const buttons = names.map((name, index) =>
    el("button", {
      class: "chip", type: "button", role: "radio", dir: "auto",
      "aria-checked": index === chosen, tabindex: index === chosen ? 0 : -1,
      onclick: () => pick(index, false),
    }, name));
  function pick(index, focus) {
    buttons.forEach((button, i) => {
      button.setAttribute("aria-checked", i === index);
      button.tabIndex = i === index ? 0 : -1;
    });
    if (focus) buttons[index].focus();
    onPick(index);
  }
  const row = el("div", { class: "chips", role: "radiogroup", "aria-label": label, dir: direction(names) }, ...buttons);
  row.addEventListener("keydown", (event) => {
    const here = buttons.indexOf(document.activeElement);
    const forward = row.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
    const back = row.dir === "rtl" ? "ArrowRight" : "ArrowLeft";
    const steps = { [forward]: 1, ArrowDown: 1, [back]: -1, ArrowUp: -1 };
    if (here < 0 || !(event.key in steps)) return;
    event.preventDefault();
    pick((here + steps[event.key] + buttons.length) % buttons.length, true);
  });
  return row;
}

/* The direction of a row of tokens: that of the first letter that has one. */
function direction(names) {
  const text = names.join("").replace(/⟨[^⟩]*⟩/g, "");
  const first = text.match(/[A-Za-z\u00c0-\u024f\u0590-\u08ff\ufb1d-\ufeff]/);
  return first && /[\u0590-\u08ff\ufb1d-\ufeff]/.test(first[0]) ? "rtl" : "ltr";
}

function slider(label, { min, max, step, value, show = String }, onChange) {
  const shown = el("output", {}, show(value));
  const input = el("input", { type: "range", min, max, step, value, "aria-label": label });
  input.addEventListener("input", () => {
    shown.textContent = show(Number(input.value));
    onChange(Number(input.value));
  });
  return el("label", {}, label, input, shown);
}

function choice(label, options, chosen, onChange) {
  const select = el("select", { "aria-label": label },
    ...options.map(([value, name]) => el("option", { value, ...(value === chosen ? { selected: "" } : {}) }, name)));
  select.addEventListener("change", () => onChange(Number(select.value)));
  return el("label", {}, label, select);
}

function table(head, rows, numeric = []) {
  const cell = (tag, value, i) => (value instanceof Node && /^T[DH]$/.test(value.tagName)
    ? value : el(tag, { class: numeric.includes(i) ? "n" : "" }, value instanceof Node ? value : String(value)));
  return el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": head.join(", ") }, el("table", {},
    el("thead", {}, el("tr", {}, ...head.map((h, i) => cell("th", h, i)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((v, i) => cell("td", v, i)))))));
}

/* A bar with a name and a number; negative ones grow to the left from the middle. */
function bar(name, share, value, { both = false, out = false } = {}) {
  const width = Math.min(100, Math.abs(share) * (both ? 50 : 100));
  const start = both ? (share < 0 ? 50 - width : 50) : 0;
  return el("div", { class: out ? "bar out" : "bar" }, el("span", { dir: "auto", title: name }, name),
    el("span", { class: "track" }, el("span", {
      class: share < 0 ? "fill minus" : "fill", style: `width:${width}%;left:${start}%`,
    })), el("span", { class: "value" }, value));
}

/* Lines over numbers: curves = [{points: [[x, y]], colour, name}]. */
function lines(curves, { width = 560, height = 220, x = "", y = "", log = false } = {}) {
  const points = curves.flatMap((curve) => curve.points);
  const of = (i) => points.map((point) => point[i]);
  const [x0, x1] = [Math.min(...of(0)), Math.max(...of(0))];
  const [y0, y1] = [Math.min(0, ...of(1)), Math.max(...of(1)) || 1];
  const px = (v) => 48 + ((v - x0) / (x1 - x0 || 1)) * (width - 60);
  const py = (v) => height - 34 - ((v - y0) / (y1 - y0 || 1)) * (height - 50);
  const made = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${y} over ${x}` });
  for (const share of [0, 0.5, 1]) {
    const value = y0 + share * (y1 - y0);
    made.append(svg("line", { class: "axis", x1: 48, x2: width - 12, y1: py(value), y2: py(value) }),
      svg("text", { class: "soft", x: 42, y: py(value) + 4, "text-anchor": "end" }, Number(value.toPrecision(2)).toString()));
  }
  made.append(svg("text", { class: "soft", x: 48, y: height - 8 }, `${x} ${count(x0)}`),
    svg("text", { class: "soft", x: width - 12, y: height - 8, "text-anchor": "end" }, count(x1)));
  for (const curve of curves) {
    const path = curve.points.map((p, i) => `${i ? "L" : "M"}${px(p[0]).toFixed(1)} ${py(p[1]).toFixed(1)}`).join("");
    made.append(svg("path", { d: path, fill: "none", stroke: curve.colour, "stroke-width": 2 }));
    if (curve.dots) curve.points.forEach((p) => made.append(svg("circle", { cx: px(p[0]), cy: py(p[1]), r: 3, fill: curve.colour })));
  }
  return made;
}

function legend(entries) {
  return el("div", { class: "chips small" }, ...entries.map(([name, colour]) =>
    el("span", {}, el("span", { style: `display:inline-block;width:.8em;height:.8em;border-radius:.2em;background:${colour};margin-inline-end:.35em` }), name)));
}

/* A map of rows and columns as a table that scrolls: value(row, column) in [-1, 1]. */
function heatmap(rowNames, names, value, title, onPick) {
  return el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "map", dir: direction(names) }, el("table", { class: "small" },
    el("thead", {}, el("tr", {}, el("th", {}, ""), ...names.map((name) => el("th", { dir: "auto" }, name)))),
    el("tbody", {}, ...rowNames.map((row, r) => el("tr", {}, el("th", { dir: "auto" }, row),
      ...names.map((_, c) => {
        const share = value(r, c);
        const shown = title(r, c);
        return el("td", {
          class: "cell", dir: "auto", title: shown.hint || "", onclick: onPick ? () => onPick(r, c) : () => {},
          style: `background:${share === null ? "transparent" : signed(UNDER_TEXT * share)}${onPick ? ";cursor:pointer" : ""}`,
        }, shown.text);
      }))))));
}
