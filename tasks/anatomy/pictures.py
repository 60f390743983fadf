"""The pictures of a dissected model that go to MLflow, drawn from the report's numbers."""

import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.plots import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_NAMES = 40  # that are written along an axis
_PARTS = 20
_BARS = 16
_LEVELS = 255

Values = Mapping[str, Any]
"""The numbers of a chapter, or of all by their names."""

Weights = npt.NDArray[np.float64]


def draw_pictures(chapters: Values) -> Iterator[tuple[str, "Figure"]]:
    """Draw the pictures of a report.

    Args:
        chapters: The numbers of each chapter.

    Yields:
        Names with matplotlib figures.
    """
    drawings = {
        "embeddings": draw_map,
        "attention": draw_heads,
        "norms": draw_norms,
        "neurons": draw_neurons,
        "stream": draw_contributions,
        "lens": draw_lens,
        "training": draw_gradients,
        "decoding": draw_next,
        "classification": draw_occlusion,
        "low_rank": draw_low_rank,
    }
    for name, draw in drawings.items():
        figure = draw(chapters[name]) if name in chapters else None
        if figure is not None:
            yield name, figure


def unpack_weights(text: str, n_tokens: int) -> Weights:
    """The attention weights that ``gpt_core.chapters.pack_weights`` packed, shape (T, T)."""
    weights = np.zeros((n_tokens, n_tokens))
    rows, columns = np.tril_indices(n_tokens)
    weights[rows, columns] = np.frombuffer(base64.b64decode(text), np.uint8) / _LEVELS
    return weights


def draw_map(values: Values) -> "Figure":
    """The tokens of the text and their neighbours on the plane."""
    figure = new_figure(8, 6)
    axes = figure.add_subplot()
    for point in values["points"]:
        x, y = point["xy"]
        axes.plot(x, y, "o", color="C0" if point["own"] else "lightgrey", markersize=4)
        axes.annotate(_plain(point["name"]), (x, y), fontsize=8, alpha=1.0 if point["own"] else 0.5)
    axes.set_title("Token embeddings, two principal components")
    return figure


def draw_heads(values: Values) -> "Figure":
    """Every head of every block as a map."""
    maps, n_tokens = values["maps"], len(values["names"])
    figure = new_figure(1.2 * len(maps[0]) + 1, 1.3 * len(maps) + 1)
    grid = figure.subplots(len(maps), len(maps[0]), squeeze=False)
    for block, row in enumerate(maps):
        for head, text in enumerate(row):
            axes = grid[block][head]
            axes.imshow(np.sqrt(unpack_weights(text, n_tokens)), cmap="Blues", vmin=0, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
            kind = values["kinds"][block][head]
            axes.set_title(f"{block}.{head} {kind or ''}", fontsize=7)
    return figure


def draw_norms(values: Values) -> "Figure":
    """The standard deviation of each token before every norm."""
    rows = [norm["deviation"] for norm in values["norms"]]
    names = [norm["name"] for norm in values["norms"]]
    return _draw_map(rows, names, values["names"], "Standard deviation before each norm")


def draw_neurons(values: Values) -> "Figure":
    """The neurons of the last block that fire the most."""
    block = values["blocks"][-1]
    rows = [f"neuron {neuron}" for neuron in block["neurons"]]
    return _draw_map(block["after"], rows, values["names"], "Neurons of the last block")


def draw_contributions(values: Values) -> "Figure | None":
    """The summand of each part in the logit of the most likely next token."""
    if values["answers"] is None:
        return None
    answer = values["answers"][-1]
    parts = zip(values["parts"], answer["summands"], strict=True)
    largest = sorted(parts, key=lambda part: -abs(part[1]))[:_PARTS]
    names = [_part_name(*part) for part, _ in largest]
    title = f"Logit of {_plain(answer['name'])}: {answer['logit']:.2f}"
    return _draw_bars(names, [logit for _, logit in largest], title)


def draw_lens(values: Values) -> "Figure":
    """How certain each block's prediction is."""
    rows = [[cell[1][0] for cell in row] for row in values["lens"]]
    names = ["embeddings", *(f"block {index}" for index in range(len(rows) - 1))]
    title = "Probability of the most likely next token after each block"
    return _draw_map(rows[::-1], names[::-1], values["names"], title)


def draw_gradients(values: Values) -> "Figure | None":
    """The gradient of the last token's loss, at every token and block."""
    rows = values["gradients"]
    if rows is None:
        return None
    names = [*(f"before block {index}" for index in range(len(rows) - 1)), "after all"]
    title = "Norm of the gradient of the last token's loss"
    return _draw_map(rows[::-1], names[::-1], values["names"], title)


def draw_next(values: Values) -> "Figure":
    """The probabilities of the most likely next tokens."""
    logits = np.array(values["logits"])
    rest = sum(count * np.exp(logit - logits[0]) for logit, count in values["rest"])
    weights = np.exp(logits - logits[0])
    weights = weights / (weights.sum() + rest)
    names = [_plain(name) for name in values["names"][:_BARS]]
    return _draw_bars(names, weights[:_BARS].tolist(), "The next token")


def draw_occlusion(values: Values) -> "Figure | None":
    """How the logit of the chosen class changes without each word."""
    if values["changes"] is None:
        return None
    label = int(np.argmax(values["logits"]))
    changes = [row[label] for row in values["changes"]]
    names = [_plain(word) for word in values["words"]]
    return _draw_bars(
        names, changes, f"Logit of {values['labels'][label]}: with the word − without"
    )


def draw_low_rank(values: Values) -> "Figure":
    """The length of each matrix's update, as a fraction of the matrix's."""
    updates = [update for update in values["updates"] if update["weight_norm"]]
    names = [update["layer"] for update in updates]
    changes = [update["norm"] / update["weight_norm"] for update in updates]
    return _draw_bars(names, changes, "Update / weight, Frobenius norms")


def _draw_map(rows: list[list[float]], names: list[str], tokens: list[str], title: str) -> "Figure":
    figure = new_figure(min(14, 2.5 + 0.4 * len(tokens)), 1.5 + 0.3 * len(rows))
    axes = figure.add_subplot()
    image = axes.imshow(np.array(rows, dtype=float), cmap="Blues", aspect="auto")
    figure.colorbar(image, ax=axes)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    _name_tokens(axes, tokens)
    axes.set_title(title, fontsize=9)
    return figure


def _name_tokens(axes: "Axes", tokens: list[str]) -> None:
    step = -(-len(tokens) // _MAX_NAMES)
    shown = range(0, len(tokens), step)
    axes.set_xticks(shown, [_plain(tokens[i]) for i in shown], rotation=90, fontsize=7)


def _draw_bars(names: list[str], values: list[float], title: str) -> "Figure":
    figure = new_figure(6, 1 + 0.25 * len(names))
    axes = figure.add_subplot()
    colours = ["C0" if value >= 0 else "C1" for value in values]
    axes.barh(range(len(names)), values, color=colours)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=9)
    axes.grid(axis="x", alpha=0.3)
    return figure


def _part_name(part: str, block: int | None, head: int | None) -> str:
    if block is None:
        return part
    return f"{block} {part}" if head is None else f"{block}.{head} head"


def _plain(name: str) -> str:
    """A token's name in characters that matplotlib's own font has, and not as a formula."""
    plain = name.replace("␣", "_").replace("⏎", "\\n").replace("⇥", "\\t").replace("$", r"\$")
    return "".join(c if _is_drawable(c) else f"<{ord(c):x}>" for c in plain)


def _is_drawable(character: str) -> bool:
    """Whether DejaVu Sans, which comes with matplotlib, has a character."""
    from matplotlib.font_manager import fontManager, get_font

    font = get_font(fontManager.findfont("DejaVu Sans"))
    return bool(font.get_char_index(ord(character)))
