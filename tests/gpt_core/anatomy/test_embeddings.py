import numpy as np
import torch

from gpt_core.anatomy import flatten, nearest_tokens


def test_the_flat_map_is_that_of_principal_components() -> None:
    vectors = torch.randn(40, 7) * torch.arange(1.0, 8.0)
    flat = flatten(vectors)
    centred = (vectors - vectors.mean(dim=0)).double().numpy()
    values, directions = np.linalg.eigh(centred.T @ centred)
    expected = centred @ directions[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(flat.numpy()), np.abs(expected), atol=1e-3)
    assert (flat.abs().max(dim=0).values == flat.max(dim=0).values).all()
    assert values[-1] > values[0]
    assert flatten(torch.ones(1, 3)).tolist() == [[0.0, 0.0]]


def test_the_nearest_tokens_point_the_same_way() -> None:
    embeddings = torch.randn(20, 6)
    embeddings[7] = embeddings[3] * 5 + 0.01
    found = nearest_tokens(embeddings, 3, k=4)
    assert found[0][0] == 7
    assert len(found) == 4
    assert 3 not in dict(found)
    cosines = [float(c) for _, c in found]
    assert cosines == sorted(cosines, reverse=True)
    assert len(nearest_tokens(embeddings, 3, k=99)) == 19
