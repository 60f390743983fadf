// The server's HTTP interface: models, classes, and streams of tokens.

let key = "";

/** Send this key with every request from now on. It is kept in memory only. */
export function useKey(value) {
  key = value;
}

/** An answer that is not a success, with the server's own sentence. */
export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function request(path, body, signal) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const options = { headers, signal };
  if (body) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer. Is gptflow serve still running?", 0);
  }
  if (!response.ok) throw new ServerError(await sentence(response), response.status);
  return response;
}

async function sentence(response) {
  let message = `The server answered ${response.status}.`;
  try {
    message = (await response.json()).error.message || message;
  } catch {
    // A body that is not the server's JSON says nothing more than the status.
  }
  const wait = response.headers.get("Retry-After");
  return wait ? `${message} Try again in ${wait} s.` : message;
}

/** The served models: id, kind and context length. */
export async function listModels() {
  const answer = await (await request("v1/models")).json();
  return answer.data.map((entry) => ({
    id: entry.id,
    kind: entry.kind || "pretrained",
    contextLength: entry.max_model_len || null,
  }));
}

/** The probability of each class of a text, likeliest first: [[label, probability], ...]. */
export async function classify(model, text, signal) {
  const answer = await (await request("v1/classify", { model, input: text }, signal)).json();
  const classes = Object.entries(answer.data[0].scores);
  return classes.sort((a, b) => b[1] - a[1]);
}

/** The events of a stream, parsed; ends at [DONE]. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block
        .split(/\r?\n/)
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trimStart())
        .join("\n");
      if (data === "[DONE]") return;
      if (data) yield JSON.parse(data);
    }
  }
}

/**
 * Continue a prompt or answer a message: { index, text, tokens, finish } for each event.
 *
 * A token is { text, logprob, top }, and top is [[text, logprob], ...], likeliest first.
 */
export async function* generate(path, body, signal) {
  const response = await request(path, { ...body, stream: true }, signal);
  for await (const event of events(response)) {
    if (event.error) throw new ServerError(event.error.message, 200);
    for (const choice of event.choices || []) {
      yield {
        index: choice.index,
        text: choice.text ?? choice.delta?.content ?? "",
        tokens: tokensOf(choice.logprobs),
        finish: choice.finish_reason,
      };
    }
  }
}

function tokensOf(logprobs) {
  if (!logprobs) return [];
  if (logprobs.content) {
    return logprobs.content.map((each) => ({
      text: each.token,
      logprob: each.logprob,
      top: (each.top_logprobs || []).map((other) => [other.token, other.logprob]),
    }));
  }
  return (logprobs.tokens || []).map((text, i) => ({
    text,
    logprob: logprobs.token_logprobs[i],
    top: Object.entries(logprobs.top_logprobs?.[i] || {}).sort((a, b) => b[1] - a[1]),
  }));
}
