"""Writes the bundles beside it with TensorFlow itself.

Made with tensorflow-cpu 2.21.0 and numpy on x86-64, by ``python make_bundles.py`` in this folder.
The values can be computed again from the names (``values_of``), so that the tests need no
TensorFlow to know them.
"""

import zlib
from pathlib import Path

import numpy as np

SHAPES = {
    "matrix": ((3, 4), np.float32),
    "scalar": ((), np.float32),
    "empty": ((0, 5), np.float32),
    "deep/er/name": ((2, 1, 3), np.float32),
    "deep/er/nam": ((2,), np.float64),
    "half": ((5,), np.float16),
    "whole": ((4,), np.int32),
    "long": ((4,), np.int64),
    "\u0643\u062a\u0628": ((2,), np.float32),
}
GPT2 = {"n_vocab": 257, "n_ctx": 10, "n_embd": 8, "n_head": 2, "n_layer": 2}


def values_of(name: str, shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    """Values that depend on nothing but the name, exact in every type."""
    seed = zlib.crc32(name.encode("utf-8"))
    draw = np.random.Generator(np.random.PCG64(seed)).integers(-128, 128, shape)
    return (draw if np.issubdtype(dtype, np.integer) else draw / 64).astype(dtype)


def gpt2_shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of a small GPT-2 as OpenAI's code declares them."""
    C, V, T = GPT2["n_embd"], GPT2["n_vocab"], GPT2["n_ctx"]
    shapes = {"model/wte": (V, C), "model/wpe": (T, C), "model/ln_f/g": (C,), "model/ln_f/b": (C,)}
    for layer in range(GPT2["n_layer"]):
        block = f"model/h{layer}"
        for norm in ("ln_1", "ln_2"):
            shapes |= {f"{block}/{norm}/g": (C,), f"{block}/{norm}/b": (C,)}
        for name, n_in, n_out in (
            ("attn/c_attn", C, 3 * C),
            ("attn/c_proj", C, C),
            ("mlp/c_fc", C, 4 * C),
            ("mlp/c_proj", 4 * C, C),
        ):
            shapes |= {f"{block}/{name}/w": (1, n_in, n_out), f"{block}/{name}/b": (n_out,)}
    return shapes


def main() -> None:
    """Write ``kinds`` (several types, two shards) and ``gpt2`` (one shard)."""
    import tensorflow as tf

    def save(prefix: str, tensors: dict[str, np.ndarray]) -> None:
        names = list(tensors)
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(tensors[name]) for name in names],
        )

    folder = Path(__file__).parent
    kinds = {name: values_of(name, *kind) for name, kind in SHAPES.items()}
    parts = [dict(list(kinds.items())[:4]), dict(list(kinds.items())[4:])]
    for index, part in enumerate(parts):
        save(str(folder / f"part{index}"), part)
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(folder / "part0"), str(folder / "part1")],
        destination_prefix=str(folder / "kinds"),
        delete_old_dirs=False,
    )
    gpt2 = {name: values_of(name, shape) for name, shape in gpt2_shapes().items()}
    save(str(folder / "gpt2"), gpt2)


if __name__ == "__main__":
    main()
