"""Our reader of TensorFlow's bundles against TensorFlow, where it is installed."""

from pathlib import Path

import numpy as np
import pytest

from gpt_core.interop import TensorFlowCheckpoint

tf = pytest.importorskip("tensorflow")


def test_a_bundle_with_an_index_of_many_blocks_reads_as_it_was_written(tmp_path: Path) -> None:
    generator = np.random.default_rng()
    names = [f"model/layer{i}/{'very_' * 10}long/name{i % 7}" for i in range(6000)]
    tensors = {
        name: generator.standard_normal(generator.integers(1, 4, 2)).astype(np.float32)
        for name in names
    }
    prefix = str(tmp_path / "model.ckpt")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=list(tensors.values()),
    )
    reader = tf.train.load_checkpoint(prefix)
    ours = TensorFlowCheckpoint(Path(prefix))
    assert ours.entries.keys() == reader.get_variable_to_shape_map().keys()
    for name in names:
        np.testing.assert_array_equal(ours.read(name), reader.get_tensor(name), strict=True)
