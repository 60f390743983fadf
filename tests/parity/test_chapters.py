"""The numbers in a page, read from the page, against what ``transformers`` says of the weights."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from releases import save_release

from gpt_core.chapters import dissect
from gpt_core.config import AnatomyConfig, CleaningConfig
from gpt_core.interop import import_gpt2
from tasks.anatomy import render_page
from tasks.anatomy.pictures import unpack_weights

pytest.importorskip("transformers")
WITHIN = 1e-5
STEP = 1 / 255


def data_of(page: str) -> dict[str, Any]:
    """The numbers inside a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    values: dict[str, Any] = json.loads(found[1])["chapters"]
    return values


@pytest.mark.parametrize("tied", [True, False])
def test_what_a_page_shows_is_what_transformers_computes(tmp_path: Path, tied: bool) -> None:
    theirs = save_release(
        tmp_path / "theirs", tie_word_embeddings=tied, attn_implementation="eager"
    )
    checkpoint = import_gpt2(tmp_path / "theirs", tmp_path / "ours")
    report = dissect(
        checkpoint, AnatomyConfig(text="a bc ab"), CleaningConfig(), tmp_path / "report",
        render=render_page,
    )  # fmt: skip
    chapters = data_of((report.directory / "anatomy.html").read_text(encoding="utf-8"))
    ids = chapters["windows"]["ids"]
    with torch.inference_mode():
        said = theirs(torch.tensor([ids]), output_attentions=True, output_hidden_states=True)
        norm, head = theirs.transformer.ln_f, theirs.lm_head
        lens = [head(norm(state))[0].softmax(-1) for state in said.hidden_states[:-1]]
    attentions = [weights[0] for weights in said.attentions]
    for block, weights in enumerate(attentions):
        for number, packed in enumerate(chapters["attention"]["maps"][block]):
            difference = np.abs(unpack_weights(packed, len(ids)) - weights[number].numpy())
            assert difference.max() <= STEP / 2 + WITHIN
        hand = chapters["attention"]["by_hand"][block]
        n = len(hand["query"])
        exact = weights[hand["head"], :n, :n]
        torch.testing.assert_close(torch.tensor(hand["weights"]), exact, atol=WITHIN, rtol=0)
    for depth, probabilities in enumerate([*lens, said.logits[0].softmax(-1)]):
        for position, (tokens, found) in enumerate(chapters["lens"]["lens"][depth]):
            expected = probabilities[position, tokens]
            torch.testing.assert_close(torch.tensor(found), expected, atol=WITHIN, rtol=0)
    for position, answer in enumerate(chapters["stream"]["answers"]):
        total = sum(answer["summands"])
        assert len(answer["summands"]) == len(chapters["stream"]["parts"])
        logit = float(said.logits[0, position, answer["id"]])
        assert answer["logit"] == pytest.approx(logit, abs=WITHIN, rel=WITHIN)
        assert total == pytest.approx(logit, abs=1e-4, rel=WITHIN)
        assert answer["id"] == int(said.logits[0, position].argmax())
    best = said.logits[0, -1].sort(descending=True).values[: len(chapters["decoding"]["logits"])]
    torch.testing.assert_close(
        torch.tensor(chapters["decoding"]["logits"]), best, atol=WITHIN, rtol=WITHIN
    )
    parameters = sum(parameter.numel() for parameter in theirs.parameters())
    assert chapters["skeleton"]["total"] == parameters
    assert sum(count for _, _, count in chapters["skeleton"]["parameters"]) == parameters
