import random
from pathlib import Path

import pytest

from gpt_core.anatomy import merge_steps, most_probable_path
from gpt_core.config import TokenizerConfig
from gpt_core.tokenizers import UnigramTokenizer, train_bpe


@pytest.fixture(scope="module")
def texts(project_root: Path) -> list[str]:
    files = sorted((project_root / "data/samples/text").glob("*.txt"))
    return [line for file in files for line in file.read_text("utf-8").splitlines()[:400]]


def random_texts(texts: list[str], n: int) -> list[str]:
    draw, words = random.Random(), " ".join(texts[:20] + texts[-20:]).split()
    return [" ".join(draw.choices([*words, "zebra", "é!", "  "], k=8)) for _ in range(n)]


def test_the_last_step_of_the_merges_is_what_the_tokenizer_gives(texts: list[str]) -> None:
    tokenizer = train_bpe(texts, 500, "marks")
    for text in random_texts(texts, 30):
        merged = merge_steps(tokenizer, text)
        assert "".join(each.piece for each in merged) == text
        assert [token for each in merged for token in each.steps[-1]] == tokenizer.pieces(text)
        for each in merged:
            assert len(each.steps[0]) == len(each.piece.encode())
            assert all(b"".join(step) == each.piece.encode() for step in each.steps)
            lengths = [len(step) for step in each.steps]
            assert lengths == sorted(lengths, reverse=True)


def test_the_most_probable_path_is_the_one_that_sentencepiece_takes(
    texts: list[str],
) -> None:
    tokenizer = UnigramTokenizer.train(texts, TokenizerConfig(kind="unigram", vocab_size=600))
    for text in random_texts(texts, 30):
        path = most_probable_path(tokenizer, text)
        assert "".join(step.piece for step in path).replace("\u2581", " ") == text
        assert sum(step.score for step in path) == pytest.approx(path[-1].total, abs=1e-4)
        assert all(total <= step.total for step in path for _, total in step.rivals)
        best = tokenizer._model.nbest_encode(text, nbest_size=1, out_type=str)[0]
        if all(not piece.startswith("<0x") for piece in best):
            assert [step.piece for step in path] == best
    assert most_probable_path(tokenizer, "") == []
