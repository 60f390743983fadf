"""A secret reaches the server that it is for, and is in nothing that is printed, sent or kept."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from canary import CANARY, basic, secrets_in, watching

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
COMMIT = "c" * 40
ENVIRONMENT = {
    "HF_TOKEN": f"hf_{CANARY}",
    "MLFLOW_TRACKING_TOKEN": f"{CANARY}-mlflow-token",
    "AWS_ACCESS_KEY_ID": f"{CANARY}-id",
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}-aws",
    "AWS_SESSION_TOKEN": f"{CANARY}-session",
    "GITHUB_TOKEN": f"{CANARY}-github",
}
SMALL = (
    "name=small", "tokenizer.kind=bpe", "tokenizer.vocab_size=400", "shards.workers=1",
    "model.n_layer=1",
    "model.n_head=2", "model.n_embd=32", "model.context_length=64", "schedule.warmup_steps=2",
    "training.steps=4", "training.tokens_per_step=512", "training.micro_batch=8",
    "training.eval_tokens=1024",
)  # fmt: skip


@dataclass
class Canary:
    """The output of commands, the requests to servers, and the folder of everything kept."""

    folder: Path
    sites: dict[str, Any] = field(default_factory=dict)
    done: list[Any] = field(default_factory=list)
    refused: list[Any] = field(default_factory=list)
    watch: Any = None


def listed(name: str, url: str, text: bytes) -> str:
    """An entry of sources.toml."""
    return (
        f'[{name}]\ntitle = "{name}"\nfile = "{name}.txt"\nlicence = "ours"\nurl = "{url}"\n'
        f'sha256 = "{hashlib.sha256(text).hexdigest()}"\nbytes = {len(text)}\n'
    )


def hub_files(release: Path) -> dict[str, bytes]:
    """The answers of a hub that has a release."""
    files, rows = {}, []
    for file in sorted(file for file in release.iterdir() if file.is_file()):
        content = file.read_bytes()
        blob = hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()
        rows.append({"type": "file", "path": file.name, "size": len(content), "oid": blob})
        files[f"/me/small/resolve/{COMMIT}/{file.name}"] = content
    return {**files, f"/api/models/me/small/tree/{COMMIT}": json.dumps(rows).encode()}


def failing(sites: dict[str, Any], dead: int) -> list[Sequence[str]]:
    """Commands that fail while they hold a secret."""
    url = f"http://me:{CANARY}-url@127.0.0.1:{dead}/a.txt?token={CANARY}-query"
    small = ["import-gpt2", f"gpt2.source=hub:me/small@{COMMIT}"]
    text = [f"source={url}", f"source={url.replace(str(dead), 'port')}", f"name={url}"]
    return [
        *(["prepare", f"source={name}"] for name in ("missing", "unknown", "nowhere")),
        [*small, f'gpt2.mirrors=["http://me:{CANARY}-wrong@127.0.0.1:{sites["hub"].port}"]'],
        [*small, f'gpt2.mirrors=["http://me:{CANARY}-port@127.0.0.1:port"]'],
        [*small, f'gpt2.mirrors=["ftp://me:{CANARY}-scheme@127.0.0.1"]'],
        *(["run", each] for each in text),
        ["run", "--dry-run", f"source={url}"],
        ["classify", f"classification.source={url}"],
        ["instruct", f"instruction.source={url}"],
        ["evaluate", f"checkpoint={url}"],
        ["import-gpt2", f"gpt2.source={url}"],
        ["compare-tokenizers", f'comparison.tokenizers=["{url}"]'],
        ["compare-models", f'benchmarks.checkpoints=["{url}"]', f"benchmarks.lambada={url}"],
        ["run", f"sourc={url}"],
        ["run", url],
        [url],
        ["run", "--config", url],
        ["run", "--preset", url],
        ["generate", "--checkpoint", url, "prompt"],
        ["up", f'gpt2.mirrors=["{url}"]'],
    ]


@pytest.fixture(scope="module")
def canary(gptflow: Any, project_root: Path, serve: Any) -> Canary:
    """Runs with a secret in every address and every variable that can hold one."""
    canary = Canary(gptflow.home.parent)
    text = (project_root / "data/samples/text/english.txt").read_bytes()[:30_000]
    with ExitStack() as stack:
        sites = canary.sites = {
            "text": serve.Site(f"{CANARY}-text", {"/mill.txt": text}),
            "hub": serve.Site(f"{CANARY}-hub", headers={"ETag": '"e"', "X-Repo-Commit": COMMIT}),
            "mirror": serve.Site(status=500),
            "mlflow": serve.Site(f"{CANARY}-mlflow"),
        }
        for site in sites.values():
            stack.enter_context(serve.serving(site))
        prefect = stack.enter_context(serve.prefect(canary.folder / "prefect", f"{CANARY}-prefect"))
        sites["mlflow"].behind = stack.enter_context(serve.mlflow(canary.folder / "mlflow"))
        dead, token = serve.free_port(), f"?token={CANARY}-query"
        places = {
            "mill": f"{sites['text'].with_password}/mill.txt{token}",
            "missing": f"{sites['text'].with_password}/missing.txt{token}",
            "unknown": f"http://me:{CANARY}-x@127.0.0.1:{sites['text'].port}/mill.txt",
            "nowhere": f"http://me:{CANARY}-x@127.0.0.1:port/mill.txt",
        }
        (gptflow.home / "data").mkdir(parents=True)
        (gptflow.home / "data" / "sources.toml").write_text(
            "".join(listed(name, url, text) for name, url in places.items())
        )
        settings = {
            **ENVIRONMENT,
            "MLFLOW_TRACKING_URI": sites["mlflow"].with_password,
            "PREFECT_API_URL": prefect,
        }
        canary.watch = stack.enter_context(watching())
        canary.done = gptflow.run([["release", *SMALL, "source=mill"]], **settings)
        assert canary.done[0].code == 0, canary.done
        (release,) = (gptflow.home / "data" / "releases").iterdir()
        sites["hub"].files = hub_files(release)
        mirrors = json.dumps([sites["mirror"].address, sites["hub"].with_password])
        fetch = ["import-gpt2", f"gpt2.source=hub:me/small@{COMMIT}", f"gpt2.mirrors={mirrors}"]
        wrong = failing(sites, dead)
        answers = gptflow.run([*wrong, fetch, ["doctor"]], **settings)
        canary.refused, canary.done = answers[: len(wrong)], canary.done + answers[len(wrong) :]
    return canary


def test_runs_that_may_ask_their_servers_succeed(canary: Canary) -> None:
    assert [answer.code for answer in canary.done] == [0] * 3, canary.done
    for name in ("text", "hub", "mlflow"):
        sent = [headers.get("authorization") for _, headers in canary.sites[name].asked]
        assert basic(canary.sites[name].secret) in sent, name


def test_what_fails_is_one_sentence(canary: Canary) -> None:
    for answer in canary.refused:
        assert answer.code == 2, answer
        assert len(answer.err.splitlines()) == 1, answer
        assert answer.err.startswith("gptflow: "), answer


def test_nothing_that_is_printed_has_a_secret(
    canary: Canary, count: Callable[[str, int], None]
) -> None:
    answers = [*canary.done, *canary.refused]
    for answer in answers:
        assert not secrets_in((answer.out + answer.err).encode()), answer
    count("places searched for a secret", 2 * len(answers))


def test_nothing_that_is_kept_has_a_secret(
    canary: Canary, count: Callable[[str, int], None]
) -> None:
    """Databases, artifacts, logs and results: everything but the list that the user wrote."""
    files = [file for file in canary.folder.rglob("*") if file.is_file()]
    names = {file.name for file in files}
    assert {"prefect.db", "mlflow.db", "manifest.json", "model.safetensors"} <= names
    kept = [file for file in files if file.name != "sources.toml"]
    assert [str(file) for file in kept if secrets_in(file.read_bytes())] == []
    count("places searched for a secret", len(kept))


def test_no_request_has_a_secret_but_the_one_that_it_is_for(
    canary: Canary, count: Callable[[str, int], None]
) -> None:
    searched = 0
    for name, site in canary.sites.items():
        for path, headers in site.asked:
            sent = headers.pop("authorization", "")
            meant = {"", *(basic(secret) for secret in allowed(name, site))}
            assert sent in meant, (name, path)
            query = path.replace(f"{CANARY}-query", "") if name == "text" else path
            assert not secrets_in(json.dumps([query, headers]).encode()), (name, path)
            searched += 1 + len(headers)
    count("places searched for a secret", searched)


def test_no_process_has_a_secret_among_its_arguments(
    canary: Canary, count: Callable[[str, int], None]
) -> None:
    assert canary.watch.seen > 100
    assert canary.watch.found == []
    count("places searched for a secret", canary.watch.seen)


def allowed(name: str, site: Any) -> list[str]:
    """The passwords that a site may be given, and the wrong ones of commands that fail."""
    wrong = {"text": [f"{CANARY}-x"], "hub": [f"{CANARY}-wrong"]}
    return [site.secret, *wrong.get(name, [])]
