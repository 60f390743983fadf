"""The chapters inside the model: embeddings, attention, norms, neurons and the stream.

Shapes: L blocks, H heads, T time, C width, D head width.
"""

import base64

import torch
from torch import Tensor

from gpt_core.anatomy import flatten, nearest_tokens, score_heads
from gpt_core.anatomy.heads import HeadScores
from gpt_core.chapters.subject import Subject, numbers
from gpt_core.chapters.text_stages import Values
from gpt_core.errors import DataError

_NEIGHBOURS = 5
_MAX_POINTS = 160
_CHANNELS = 48  # of a vector that are drawn
_BY_HAND = 8  # tokens whose attention is shown in numbers
_NEURONS = 14  # rows of the map of neurons
_LEVELS = 255


def show_embeddings(subject: Subject) -> Values:
    """Token and position of each token, and a map of the tokens with their neighbours."""
    sentence, recording = subject.sentence, subject.recording
    table = subject.model.wte.weight.detach().cpu()
    own = list(dict.fromkeys(sentence.token_ids))
    nearest = {token_id: nearest_tokens(table, token_id, _NEIGHBOURS) for token_id in own}
    shown = list(own)
    for found in nearest.values():
        shown += [token_id for token_id, _ in found if token_id not in shown]
    shown = shown[: max(_MAX_POINTS, len(own))]
    points = flatten(table[shown])
    places = flatten(subject.model.wpe.weight.detach().cpu())
    width = min(_CHANNELS, table.size(1))
    return {
        "names": list(sentence.names),
        "ids": list(sentence.token_ids),
        "width": table.size(1),
        "token": numbers(recording.token_embeddings[:, :width], 4),
        "position": numbers(recording.position_embeddings[:, :width], 4),
        "points": [
            {"id": token_id, "name": name, "own": token_id in nearest, "xy": numbers(xy, 4)}
            for token_id, name, xy in zip(shown, subject.names(shown), points, strict=True)
        ],
        "places": numbers(places, 4),
        "nearest": {
            str(token_id): [
                [subject.names([other])[0], round(similarity, 4)] for other, similarity in found
            ]
            for token_id, found in nearest.items()
        },
    }


def show_attention(subject: Subject) -> Values:
    """Every head as a map, its measured kind, and one head of each block in numbers."""
    blocks = subject.recording.blocks
    scores = _scores(subject)
    heads = [_head_to_show(scores, index, block.weights) for index, block in enumerate(blocks)]
    return {
        "names": list(subject.sentence.names),
        "maps": [[pack_weights(weights) for weights in block.weights] for block in blocks],
        "kinds": [
            [scores and scores.kind(index, head) for head in range(block.weights.size(0))]
            for index, block in enumerate(blocks)
        ],
        "scores": scores
        and {
            name: numbers(getattr(scores, name), 4)
            for name in ("previous", "first", "same", "induction")
        },
        "by_hand": [_by_hand(subject, index, head) for index, head in enumerate(heads)],
    }


def _scores(subject: Subject) -> HeadScores | None:
    """The measured kinds of the heads; None for a context in which nothing can be repeated."""
    try:
        return score_heads(subject.model)
    except DataError:
        return None


def _head_to_show(scores: HeadScores | None, block: int, weights: Tensor) -> int:
    """The head of a block whose kind is the clearest."""
    if scores is None:
        return 0
    stacked = torch.stack([scores.previous, scores.induction, scores.same])[:, block]  # (3, H)
    return int(stacked.amax(dim=0)[: weights.size(0)].argmax())


def _by_hand(subject: Subject, block: int, head: int) -> Values:
    recorded, n = subject.recording.blocks[block], _BY_HAND
    return {
        "block": block,
        "head": head,
        "query": numbers(recorded.query[head, :n]),
        "key": numbers(recorded.key[head, :n]),
        "scores": numbers(recorded.scores[head, :n, :n]),
        "weights": numbers(recorded.weights[head, :n, :n]),
    }


def pack_weights(weights: Tensor) -> str:
    """The lower triangle of a head's weights, row by row, in steps of 1/255 as base64.

    Args:
        weights: Shape (T, T).
    """
    rows, columns = torch.tril_indices(weights.size(0), weights.size(0))
    levels = (weights[rows, columns] * _LEVELS).round().to(torch.uint8)
    return base64.b64encode(bytes(levels.tolist())).decode()


def show_norms(subject: Subject) -> Values:
    """Mean and spread of each token before every norm, and one vector before and after."""
    norms = []
    for index, block in enumerate(subject.recording.blocks):
        norms.append(_norm(f"h.{index}.ln_1", block.stream_in, block.normalized_1))
        norms.append(_norm(f"h.{index}.ln_2", block.stream_middle, block.normalized_2))
    norms.append(_norm("ln_f", subject.recording.stream, subject.recording.normalized))
    return {"names": list(subject.sentence.names), "norms": norms}


def _norm(name: str, before: Tensor, after: Tensor) -> Values:
    width = min(_CHANNELS, before.size(1))
    return {
        "name": name,
        "mean": numbers(before.mean(dim=-1), 4),
        "deviation": numbers(before.std(dim=-1, unbiased=False), 4),
        "mean_after": numbers(after.mean(dim=-1), 4),
        "deviation_after": numbers(after.std(dim=-1, unbiased=False), 4),
        "before": numbers(before[-1, :width], 4),
        "after": numbers(after[-1, :width], 4),
    }


def show_neurons(subject: Subject) -> Values:
    """The neurons that fire most in each block, over the sentence."""
    found = []
    for block in subject.recording.blocks:
        strongest = block.activations.amax(dim=0).topk(min(_NEURONS, block.activations.size(1)))
        chosen = strongest.indices.tolist()
        found.append(
            {
                "neurons": chosen,
                "before": numbers(block.pre_activations[:, chosen].T, 4),
                "after": numbers(block.activations[:, chosen].T, 4),
                "firing": round(float((block.activations > 0).float().mean()), 4),
                "histogram": torch.histc(
                    block.pre_activations.float(), bins=60, min=-6, max=6
                ).tolist(),
            }
        )
    return {
        "names": list(subject.sentence.names),
        "n_neurons": subject.recording.blocks[0].activations.size(1),
        "blocks": found,
    }
