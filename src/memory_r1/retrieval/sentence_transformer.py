"""Embedders that run here: any sentence-transformers model, by path or hub id."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from memory_r1.errors import InvalidInputError, ModelError
from memory_r1.retrieval.embedder import well_formed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer


class SentenceTransformerEmbedder:
    """A sentence-transformers model, loaded at its first use and shared between threads.

    Args:
        model: Folder of a saved model, or its id on the Hugging Face hub.
        name: Name to store with the vectors; `model` if None.
        dimension: Length of a vector; None asks the model, which loads it.
        threads: Torch threads while embedding. One is fastest for a single short text and leaves the others to the
            language model; the caller's own setting is back afterwards.
        batch_size: Most texts in one forward pass. Texts of like length share a pass.
        local_files_only: Never ask the network for the model.
        device: Torch device; None: the CPU.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str | None = None,
        dimension: int | None = None,
        threads: int = 1,
        batch_size: int = 32,
        local_files_only: bool = False,
        device: str | None = None,
    ) -> None:
        if threads < 1 or batch_size < 1:
            raise InvalidInputError("threads and batch_size are positive numbers.")
        self._source = model
        self._name = name or model
        self._known_dimension = dimension
        self._threads = threads
        self._batch_size = batch_size
        self._local_files_only = local_files_only
        self._device = device or "cpu"
        self._model: SentenceTransformer | None = None
        # Tokenizers cannot be entered twice at once, and the thread setting belongs to one pass at a time.
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """The name stored with the vectors."""
        return self._name

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        if self._known_dimension is None:
            self._known_dimension = self.embed(["dimension"]).shape[1]
        return self._known_dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts; longer ones than the model takes are cut.

        Returns:
            Shape (len(texts), dimension), float32, rows of unit norm.

        Raises:
            ModelError: The model cannot be loaded or fails.
        """
        import numpy as np

        if not texts:
            return np.empty((0, self.dimension), np.float32)
        with self._lock, _torch_threads(self._threads):
            try:
                vectors: NDArray[np.float32] = self._load().encode(
                    [well_formed(text) for text in texts],
                    batch_size=self._batch_size,
                    normalize_embeddings=True,
                    show_progress_bar=False,
                    convert_to_numpy=True,
                )
            except (RuntimeError, ValueError) as error:
                raise ModelError(f"Embedder {self._name} failed: {error}") from error
        return np.asarray(vectors, np.float32)

    def close(self) -> None:
        """Free the model; the next use loads it again."""
        with self._lock:
            self._model = None

    def _load(self) -> SentenceTransformer:
        if self._model is None:
            with _quiet_progress():
                self._model = self._open()
        return self._model

    def _open(self) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer

        try:
            model: Any = SentenceTransformer(self._source, device=self._device, local_files_only=self._local_files_only)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise ModelError(
                f"Embedder {self._source} cannot be loaded: {error}",
                hint="Check the path or hub id, and the network if the model is not cached yet.",
            ) from error
        return model.eval()


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet_progress() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
