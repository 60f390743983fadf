"""The recording of our GPT against what ``transformers`` says of the same weights."""

from pathlib import Path

import pytest
import torch
from releases import T, V, save_release

from gpt_core.anatomy import gradient_norms, lens_logits, record
from gpt_core.interop import import_gpt2
from gpt_core.models import load_model

pytest.importorskip("transformers")
WITHIN = 1e-5  # relative, in float32


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("n_tokens", [1, 7, T])
def test_attention_streams_and_lens_are_those_of_transformers(
    tmp_path: Path, tied: bool, n_tokens: int
) -> None:
    theirs = save_release(
        tmp_path / "theirs", tie_word_embeddings=tied, attn_implementation="eager"
    )
    ours = load_model(import_gpt2(tmp_path / "theirs", tmp_path / "ours").directory)
    token_ids = torch.randint(V, (n_tokens,)).tolist()
    recording = record(ours, token_ids)
    with torch.inference_mode():
        said = theirs(torch.tensor([token_ids]), output_attentions=True, output_hidden_states=True)
        norm, head = theirs.transformer.ln_f, theirs.lm_head
        lens = [head(norm(state))[0] for state in said.hidden_states[:-1]]
    for block, weights in zip(recording.blocks, said.attentions, strict=True):
        torch.testing.assert_close(block.weights, weights[0], atol=WITHIN, rtol=WITHIN)
    for stream, state in zip(recording.streams, said.hidden_states[:-1], strict=False):
        torch.testing.assert_close(stream, state[0], atol=1e-4, rtol=WITHIN)
    torch.testing.assert_close(recording.normalized, said.hidden_states[-1][0], atol=1e-4, rtol=0)
    for n_blocks, logits in enumerate(lens):
        torch.testing.assert_close(
            lens_logits(ours, recording, n_blocks), logits, atol=1e-4, rtol=WITHIN
        )
    torch.testing.assert_close(recording.logits, said.logits[0], atol=1e-4, rtol=WITHIN)


def test_gradients_of_the_stream_are_those_of_transformers(tmp_path: Path) -> None:
    theirs = save_release(tmp_path / "theirs")
    ours = load_model(import_gpt2(tmp_path / "theirs", tmp_path / "ours").directory)
    token_ids = torch.randint(V, (9,)).tolist()
    said = theirs(torch.tensor([token_ids]), output_hidden_states=True)
    for state in said.hidden_states:
        state.retain_grad()
    (-said.logits[0, 4].log_softmax(-1)[token_ids[5]]).backward()
    norms = gradient_norms(ours, token_ids, 5)
    for row, state in zip(norms, said.hidden_states[:-1], strict=False):
        torch.testing.assert_close(row, state.grad[0].norm(dim=-1), atol=1e-4, rtol=1e-4)
    assert norms[:, 5:].count_nonzero() == 0
    assert norms[:, :5].count_nonzero() == norms[:, :5].numel() - 4  # after the last block: one row
