"""A GPT-2 release becomes a checkpoint, downloaded first if it is not here."""

from collections.abc import Callable

Planned = Callable[..., list[str]]


def test_a_release_of_a_hub_is_fetched(planned: Planned) -> None:
    assert planned("import-gpt2", "gpt2.size=355M") == [
        "fetch openai-community/gpt2-medium", "import_gpt2"
    ]  # fmt: skip


def test_a_release_on_disk_is_imported_as_it_is(planned: Planned, checkpoint: str) -> None:
    assert planned("import-gpt2", f"gpt2.source={checkpoint}") == ["import_gpt2"]


def test_other_flows_start_from_the_release(planned: Planned) -> None:
    assert planned("classify", "checkpoint=gpt2", "gpt2.size=124M") == [
        "fetch openai-community/gpt2", "import_gpt2", "fit_baselines", "finetune_classifier",
        "summarize_classifiers",
    ]  # fmt: skip
