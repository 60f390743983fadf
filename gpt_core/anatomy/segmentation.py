"""How a text became tokens: the merges of BPE, the most probable path of Unigram.

References:
    Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", section
    3.2; Kudo 2018, "Subword Regularization", section 3.2 (the path by Viterbi's algorithm).
"""

from dataclasses import dataclass
from itertools import pairwise

from gpt_core.tokenizers import BPETokenizer, UnigramTokenizer
from gpt_core.tokenizers.bpe import byte_ids, merge_pair
from gpt_core.tokenizers.sentence_piece import SENTENCEPIECE_SPACE
from gpt_core.tokenizers.split_patterns import split_pattern

_FIRST_PIECE = 4 + 256  # after the special ids and the bytes
_UNKNOWN_PENALTY = 10.0  # SentencePiece's, below the least probable piece
_N_RIVALS = 3


@dataclass(frozen=True, slots=True)
class Merging:
    """How BPE merges one piece of a text."""

    piece: str
    """The piece, which the split pattern cut out."""

    steps: tuple[tuple[bytes, ...], ...]
    """The piece as tokens, at first single bytes, after each merge."""


def merge_steps(tokenizer: BPETokenizer, text: str) -> list[Merging]:
    """Every step by which byte-level BPE merges the pieces of a text.

    At each step the pair is merged that training merged first.
    """
    ranks = {pair: rank for rank, pair in enumerate(tokenizer.merges)}
    found = []
    for piece in split_pattern(tokenizer.pattern).split(text):
        ids = [byte_ids()[byte] for byte in piece.encode()]
        steps = [tuple(map(tokenizer.token_bytes, ids))]
        while len(ids) > 1:
            pair = min(pairwise(ids), key=lambda pair: ranks.get(pair, len(ranks)))
            if pair not in ranks:
                break
            ids = merge_pair(ids, pair, len(byte_ids()) + ranks[pair])
            steps.append(tuple(map(tokenizer.token_bytes, ids)))
        found.append(Merging(piece, tuple(steps)))
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """A piece that the most probable path to a place in the text ends with."""

    piece: str
    """The piece."""

    score: float
    """The log-probability of the piece."""

    total: float
    """The log-probability of the whole path up to the end of the piece."""

    rivals: tuple[tuple[str, float], ...]
    """Other pieces that end here, with the totals of the best paths through them, best first."""


def most_probable_path(tokenizer: UnigramTokenizer, text: str) -> list[Step]:
    """The most probable segmentation of a text by a unigram model, with what it was chosen over.

    Viterbi's algorithm: the best path to each place is the best path to an earlier one, and one
    piece more. A character without a piece of its own costs more than any piece and is encoded as
    bytes.

    Args:
        tokenizer: A unigram tokenizer.
        text: Without U+2581 and NUL, which the tokenizer encodes apart.

    Returns:
        The pieces of the path, in the text's order.
    """
    scores = dict(tokenizer.scored_pieces()[_FIRST_PIECE:])
    longest = max(map(len, scores))
    unknown = min(scores.values()) - _UNKNOWN_PENALTY
    marked = text.replace(" ", SENTENCEPIECE_SPACE)
    totals, chosen = [0.0], [Step("", 0.0, 0.0, ())]
    for end in range(1, len(marked) + 1):
        paths = []
        for begin in range(max(0, end - longest), end):
            piece = marked[begin:end]
            score = scores.get(piece, unknown if end - begin == 1 else None)
            if score is not None:
                paths.append((totals[begin] + score, score, piece))
        paths.sort(key=lambda path: -path[0])
        total, score, piece = paths[0]
        totals.append(total)
        rivals = tuple((other, value) for value, _, other in paths[1 : 1 + _N_RIVALS])
        chosen.append(Step(piece, score, total, rivals))
    return _walk_back(chosen)


def _walk_back(chosen: list[Step]) -> list[Step]:
    path, end = list[Step](), len(chosen) - 1
    while end > 0:
        path.append(chosen[end])
        end -= len(chosen[end].piece)
    return path[::-1]
