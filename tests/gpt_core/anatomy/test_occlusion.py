import pytest
import torch

from gpt_core.anatomy import occlude
from gpt_core.config import GPTConfig
from gpt_core.errors import DataError
from gpt_core.models import GPTClassifier, build_model

V, T = 31, 12


def random_classifier(pad_to: int | None = None) -> GPTClassifier:
    config = GPTConfig(n_layer=2, n_head=2, n_embd=16, vocab_size=V, context_length=T)
    return GPTClassifier(build_model(config, seed=1), n_classes=3, pad_to=pad_to)


@pytest.mark.parametrize("pad_to", [None, T])
def test_each_part_has_the_difference_that_it_makes(pad_to: int | None) -> None:
    classifier, ids = random_classifier(pad_to), torch.randint(V, (7,)).tolist()
    found = occlude(classifier, ids, [(0, 1), (2, 5), (6, 7)], pad_id=0)

    def logits(row: list[int]) -> torch.Tensor:
        padded = row + [0] * ((pad_to or len(row)) - len(row))
        with torch.no_grad():
            return classifier.eval()(torch.tensor([padded]), torch.tensor([len(row)]))[0]

    for (begin, end), change in zip([(0, 1), (2, 5), (6, 7)], found, strict=True):
        expected = logits(ids) - logits(ids[:begin] + ids[end:])
        torch.testing.assert_close(change, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("span", [(0, 7), (3, 3), (5, 8), (-1, 2)])
def test_a_part_that_cannot_be_left_out_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="cannot be left out"):
        occlude(random_classifier(), [1] * 7, [span], pad_id=0)
