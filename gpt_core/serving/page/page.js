// The page: which mode and models are chosen, what is running, and what the buttons do.

import { Alternatives } from "./alternatives.js";
import { classify, generate, listModels, ServerError, useKey } from "./api.js";
import { Card, copyText } from "./card.js";
import { Settings } from "./settings.js";
import { percent } from "./tokens.js";
import { bars, MODES, side, turnOf } from "./view.js";

const at = (id) => document.getElementById(id);

const ALTERNATIVES = 10;

let models = [];
let mode = "write";
let runs = []; // { controller, cards } of each stream that is open
const cards = { write: [], ask: [] };
const settings = new Settings(at("settings"), saveLink);

// -- which mode, which models ------------------------------------------------------------------

function usable(name) {
  return models.filter((model) => MODES[name].kinds.includes(model.kind));
}

function chosenModels() {
  return [...new Set([at("model").value, at("second").value])].filter(Boolean);
}

function setMode(name) {
  mode = name;
  const { purpose, label, example, go } = MODES[name];
  document.body.dataset.mode = name;
  document.querySelector(`input[name=mode][value=${name}]`).checked = true;
  at("purpose").textContent = purpose;
  at("prompt-label").textContent = label;
  at("prompt").placeholder = example;
  at("prompt").rows = name === "ask" ? 1 : 3;
  at("go").textContent = go;
  const options = usable(name).map((model) => model.id);
  fill(at("model"), options);
  fill(at("second"), options, "nothing");
  at("second").disabled = options.length < 2;
  showLimit();
  show();
  grow();
}

function fill(select, ids, none) {
  const before = select.value;
  select.replaceChildren();
  if (none) select.append(new Option(none, ""));
  ids.forEach((id) => select.append(new Option(id, id)));
  if (ids.includes(before)) select.value = before;
}

function showLimit() {
  const lengths = models
    .filter((model) => chosenModels().includes(model.id) && model.contextLength)
    .map((model) => model.contextLength);
  if (lengths.length) settings.limit(Math.min(...lengths));
}

/** Show what the present state allows. */
function show() {
  const busy = runs.length > 0;
  const written = mode === "write" && cards.write.length > 0;
  at("entry").hidden = written;
  at("about-entry").hidden = mode !== "ask";
  at("go").hidden = busy;
  at("stop").hidden = !busy;
  at("again").hidden = busy || !cards[mode]?.length;
  at("legend").hidden = !cards[mode]?.some((card) => card.text.tokens.length);
  at("hint").textContent = busy || written ? "" : MODES[mode].hint;
  at("panel").hidden = mode === "classify";
}

// -- generating --------------------------------------------------------------------------------

/** Run cards of the same model and text as one request with several choices. */
async function run(some) {
  const groups = new Map();
  for (const card of some) {
    const key = JSON.stringify([card.model, card.question, card.about, card.text.text]);
    groups.set(key, [...(groups.get(key) || []), card]);
  }
  at("problem").hidden = true;
  alternatives.close();
  const seed = settings.nextSeed();
  const open = [...groups.values()].map((group) => stream(group, seed));
  if (!focused()) at("stop").focus();
  await Promise.all(open);
  if (!focused() && !runs.length) at(at("entry").hidden ? "go" : "prompt").focus();
}

/** Whether the focus is on something that stays visible, which is left alone then. */
function focused() {
  return document.activeElement !== document.body && document.activeElement.checkVisibility();
}

async function stream(group, seed) {
  const controller = new AbortController();
  const open = { controller, cards: group };
  runs.push(open);
  const [path, body] = requestOf(group[0], group.length, seed);
  group.forEach((card, i) => card.begin(seed + i, (value) => settings.fixSeed(value)));
  show();
  try {
    for await (const event of generate(path, body, controller.signal)) {
      if (controller.signal.aborted) break; // its cards may be in another stream by now
      group[event.index]?.receive(event);
    }
    if (!controller.signal.aborted) fail(group, "The stream broke off.");
  } catch (error) {
    if (!controller.signal.aborted) fail(group, messageOf(error));
  }
  runs = runs.filter((each) => each !== open);
  show();
  if (!runs.length) at("status").textContent = controller.signal.aborted ? "Stopped" : "Done";
}

function fail(group, message) {
  group.filter((card) => card.busy).forEach((card) => card.fail(message));
}

function requestOf(card, n, seed) {
  const body = { model: card.model, n, seed, ...settings.sampling };
  if (card.question === undefined) {
    return ["v1/completions", { ...body, prompt: card.text.text, logprobs: ALTERNATIVES }];
  }
  const messages = [{ role: "user", content: card.question }];
  const chat = { ...body, messages, logprobs: true, top_logprobs: ALTERNATIVES };
  return ["v1/chat/completions", card.about ? { ...chat, input: card.about } : chat];
}

function messageOf(error) {
  return error instanceof ServerError ? error.message : `The page failed: ${error.message}`;
}

function stopAll() {
  runs.forEach(({ controller, cards: group }) => {
    controller.abort();
    group.forEach((card) => card.stop());
  });
  runs = [];
  show();
}

/** A card for each model and sample; a model's samples are one below the other. */
function newCards(prepare, actions) {
  const { samples } = settings.values;
  const chosen = chosenModels();
  const made = Array.from({ length: samples }, (_, i) =>
    chosen.map((model) => {
      const title = samples > 1 ? `${model}, sample ${i + 1}` : model;
      return new Card({ model, title, actions });
    }),
  ).flat();
  made.forEach(prepare);
  return made;
}

/** What decides the number of cards; when it changes, new ones are made. */
function selection() {
  return JSON.stringify([chosenModels(), settings.values.samples]);
}

const elements = (some) => some.map((card) => card.element);

// -- the three modes ---------------------------------------------------------------------------

let selected = "";

function begin(text) {
  selected = selection();
  cards.write = newCards((card) => card.text.give(text), [["Edit", edit]]);
  at("results-write").replaceChildren(side(elements(cards.write), chosenModels().length));
  return run(cards.write);
}

function write() {
  if (!cards.write.length) return begin(at("prompt").value);
  return selected === selection() ? run(cards.write) : begin(cards.write[0].text.text);
}

function edit(card) {
  stopAll();
  alternatives.close();
  at("prompt").value = card.text.text;
  cards.write = [];
  at("results-write").replaceChildren();
  show();
  grow();
  at("prompt").focus();
  at("prompt").setSelectionRange(at("prompt").value.length, at("prompt").value.length);
}

function ask() {
  const question = at("prompt").value.trim();
  const about = at("about").value.trim();
  at("results-ask").append(turnOf(question, about));
  at("prompt").value = "";
  grow();
  return answer(question, about);
}

function answer(question, about) {
  const turn = at("results-ask").lastChild;
  turn.querySelector(".grid")?.remove();
  cards.ask = newCards((card) => Object.assign(card, { question, about }), []);
  turn.append(side(elements(cards.ask), chosenModels().length));
  const answered = run(cards.ask);
  at("composer").scrollIntoView({ block: "end" });
  return answered;
}

async function classifyText() {
  const text = at("prompt").value;
  at("problem").hidden = true;
  const answers = await Promise.all(
    chosenModels().map(async (model) => [model, await classify(model, text)]),
  );
  const said = answers.map(([model, classes]) => bars(model, classes));
  const turn = turnOf(text);
  turn.append(side(said, said.length));
  at("results-classify").append(turn);
  const [label, probability] = answers[0][1][0];
  at("status").textContent = `${label}, ${percent(probability)}`;
}

async function submit() {
  if (runs.length) return;
  if (!at("prompt").value.trim() && !(mode === "write" && cards.write.length)) {
    at("prompt").focus();
    return complain(mode === "ask" ? "Write a question first." : "Write a few words first.");
  }
  try {
    await { write, ask, classify: classifyText }[mode]();
  } catch (error) {
    complain(messageOf(error));
  }
}

function again() {
  if (mode === "ask") return answer(cards.ask[0].question, cards.ask[0].about);
  cards.write.forEach((card) => card.text.keep(card.base));
  return selected === selection() ? run(cards.write) : begin(cards.write[0].text.text);
}

/** Continue a card's text from another token than the one that was drawn. */
function branch(card, index, alternative) {
  stopAll();
  card.text.keep(index);
  card.text.add({ ...alternative, picked: true });
  const running = run([card]);
  const spans = card.body.querySelectorAll(".token");
  spans.forEach((span) => (span.tabIndex = -1));
  const chosen = [...spans].findLast((span) => Number(span.dataset.i) === index);
  chosen.tabIndex = 0;
  chosen.focus();
  return running;
}

function findToken(span) {
  const card = [...cards.write, ...cards.ask].find((each) => each.body.contains(span));
  const index = Number(span.dataset.i);
  const token = card?.text.tokens[index];
  if (!token) return null;
  const open = card.question === undefined;
  return { token, branch: open ? (alternative) => branch(card, index, alternative) : null };
}

// -- the link that holds the settings ----------------------------------------------------------

function linkParams() {
  const params = new URLSearchParams({ mode });
  if (at("model").value) params.set("model", at("model").value);
  if (at("second").value) params.set("second", at("second").value);
  settings.save(params);
  return params;
}

function saveLink() {
  history.replaceState(null, "", `#${linkParams()}`);
}

async function copyLink() {
  const params = linkParams();
  const text = mode === "write" && cards.write.length ? cards.write[0].text.given : at("prompt").value;
  if (text) params.set("text", text);
  const url = new URL(location.href);
  url.hash = params;
  at("status").textContent = (await copyText(url.href)) ? "Link copied" : "The browser allows no copying";
  at("link").textContent = at("status").textContent;
  setTimeout(() => (at("link").textContent = "Copy link"), 1500);
}

function loadLink() {
  const params = new URLSearchParams(location.hash.slice(1));
  const possible = Object.keys(MODES).filter((name) => usable(name).length);
  setMode(possible.includes(params.get("mode")) ? params.get("mode") : possible[0] || "write");
  for (const name of ["model", "second"]) {
    const wanted = params.get(name);
    if ([...at(name).options].some((option) => option.value === wanted)) at(name).value = wanted;
  }
  showLimit();
  settings.load(params);
  if (params.has("text")) at("prompt").value = params.get("text");
  grow();
}

// -- beginning ---------------------------------------------------------------------------------

function complain(message) {
  at("problem").textContent = message;
  at("problem").hidden = false;
}

/** The text boxes are as tall as their text. */
function grow() {
  for (const box of [at("prompt"), at("about")]) {
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  }
}

async function open() {
  at("problem").hidden = true;
  try {
    models = await listModels();
  } catch (error) {
    at("key-form").hidden = error.status !== 401;
    return complain(messageOf(error));
  }
  at("key-form").hidden = true;
  for (const radio of document.querySelectorAll("input[name=mode]")) {
    radio.disabled = !usable(radio.value).length;
    radio.parentElement.hidden = radio.disabled;
  }
  loadLink();
  at("prompt").focus();
}

function keys(event) {
  if (event.key === "Escape" && !alternatives.close()) stopAll();
  if (event.target !== at("prompt") || event.key !== "Enter" || event.isComposing) return;
  if (event.ctrlKey || event.metaKey || (mode === "ask" && !event.shiftKey)) {
    event.preventDefault();
    submit();
  }
}

const alternatives = new Alternatives(document.querySelector("main"), findToken, (token) =>
  settings.preview(token.top),
);
at("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(at("key").value);
  open();
});
document.addEventListener("keydown", keys);
at("stop").addEventListener("click", stopAll);
at("again").addEventListener("click", again);
at("link").addEventListener("click", copyLink);
at("composer").addEventListener("input", grow);
for (const select of [at("model"), at("second")]) {
  select.addEventListener("change", () => {
    showLimit();
    saveLink();
  });
}
document.querySelector(".modes").addEventListener("change", (event) => {
  stopAll();
  setMode(event.target.value);
  saveLink();
});
window.addEventListener("hashchange", () => {
  stopAll();
  loadLink();
});
if (window.matchMedia("(max-width: 60rem)").matches) at("panel").open = false;
open();
