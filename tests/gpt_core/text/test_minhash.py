"""Signatures estimate the Jaccard similarity that the exact comparison computes."""

import builtins
import random
from typing import Any

import numpy as np
import pytest

from gpt_core.errors import ConfigError
from gpt_core.text.minhash import N_HASHES, Signer, band_rows, hash_bands
from gpt_core.text.near_duplicates import jaccard, shingles_of


def test_signatures_agree_as_often_as_texts_are_similar() -> None:
    signer, errors = Signer(), []
    for _ in range(20):
        words = [f"w{random.randrange(5000)}" for _ in range(random.randint(30, 400))]
        edited = list(words)
        for place in random.sample(range(len(words)), random.randint(0, len(words) // 4)):
            edited[place] = f"x{random.randrange(5000)}"
        texts = " ".join(words), " ".join(edited)
        agreeing = float(np.mean(signer.sign(texts[0]) == signer.sign(texts[1])))
        errors.append(agreeing - jaccard(*shingles_of(texts)))
    assert max(map(abs, errors)) < 5 / 32  # five standard deviations
    assert abs(sum(errors) / len(errors)) < 5 / 32 / 20**0.5


def test_marks_case_and_punctuation_do_not_matter_in_either_language() -> None:
    signer = Signer()
    for one, other in [
        ("قَالَ رَسُولُ اللَّهِ", "قال، رسول الله!"),
        ("So IT is.", "so it is"),
        ("ok", "OK"),
    ]:
        assert np.array_equal(signer.sign(one), signer.sign(other))
    assert signer.sign("").shape == (N_HASHES,)


def test_a_long_text_is_signed_in_pieces_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(f"w{number}" for number in range(3000))
    whole = Signer().sign(text)
    monkeypatch.setattr("gpt_core.text.minhash._CHUNK", 7)
    assert np.array_equal(Signer().sign(text), whole)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95, 1.0])
def test_a_pair_at_the_threshold_agrees_in_a_band(threshold: float) -> None:
    rows = band_rows(threshold)
    assert 1 - (1 - threshold**rows) ** (N_HASHES // rows) >= 0.99
    rng = np.random.default_rng(random.getrandbits(32))
    one = rng.integers(0, 1 << 32, (500, N_HASHES), dtype=np.uint32)
    other = np.where(rng.random(one.shape) < threshold, one, one ^ np.uint32(1))
    agreeing = (hash_bands(one, rows) == hash_bands(other, rows)).any(axis=1)
    assert agreeing.mean() > 0.97
    far = rng.integers(0, 1 << 32, (500, N_HASHES), dtype=np.uint32)
    assert not (hash_bands(one, rows) == hash_bands(far, rows)).any()


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "datasketch":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"needs datasketch: pip install 'gptflow\[filters\]'"):
        Signer()
