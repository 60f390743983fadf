"""The map of meanings: which tokens have similar embeddings, and a flat picture of them.

Shapes: V vocabulary, C width, N vectors.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def nearest_tokens(embeddings: Tensor, token_id: int, k: int = 8) -> list[tuple[int, float]]:
    """The tokens whose embeddings point the same way as a token's, without itself.

    Args:
        embeddings: Shape (V, C).
        token_id: The token.
        k: How many.

    Returns:
        Ids with their cosine similarity, nearest first.
    """
    similarity = F.cosine_similarity(embeddings, embeddings[token_id].unsqueeze(0), dim=-1)
    similarity[token_id] = -torch.inf
    values, indices = similarity.topk(min(k, len(embeddings) - 1))
    return list(zip(indices.tolist(), values.tolist(), strict=True))


@torch.no_grad()
def flatten(vectors: Tensor) -> Tensor:
    """Principal component analysis: the two directions in which vectors differ most.

    Args:
        vectors: Shape (N, C).

    Returns:
        Coordinates, shape (N, 2), centred; 0 in a direction in which nothing differs. The signs are
        such that the vector farthest out has a positive coordinate.

    References:
        Jolliffe 2002, "Principal Component Analysis", section 3.5 (by singular values).
    """
    centred = vectors.double() - vectors.double().mean(dim=0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    flat = torch.zeros(len(vectors), 2, dtype=torch.float64)
    n = min(2, len(s))
    flat[:, :n] = u[:, :n] * s[:n]
    farthest = flat.gather(0, flat.abs().argmax(dim=0, keepdim=True))  # (1, 2)
    return (flat * torch.where(farthest < 0, -1.0, 1.0)).float()
