"""Instructions are encoded with the prompt masked."""

from gpt_core.data import ALPACA, IGNORED, collate, encode_example
from gpt_core.text import InstructionExample
from gpt_core.tokenizers import ByteTokenizer


def test_targets_of_the_prompt_are_ignored() -> None:
    tokenizer = ByteTokenizer()
    example = InstructionExample("Say it.", "hello", "HELLO")
    token_ids, targets = encode_example(example, tokenizer, ALPACA)
    learned = [target for target in targets if target != IGNORED]
    assert learned == [*b"HELLO", tokenizer.eos_id]
    assert tokenizer.decode(token_ids) == ALPACA.format("Say it.", "hello") + "HELLO"
    assert len(token_ids) == len(targets)
    assert learned[:-1] == token_ids[-5:], "each is the token after"
    short = encode_example(example, tokenizer, ALPACA, max_tokens=10)
    assert [len(part) for part in short] == [10, 10]


def test_a_batch_is_padded_to_its_longest_row() -> None:
    batch = collate([([1, 2, 3], [IGNORED, 3, 4]), ([5], [6])], pad_id=0)
    assert batch.token_ids.tolist() == [[1, 2, 3], [5, 0, 0]]
    assert batch.targets.tolist() == [[IGNORED, 3, 4], [6, IGNORED, IGNORED]]
