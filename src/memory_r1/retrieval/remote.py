"""Embedders behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memory_r1.errors import EndpointError, InvalidInputError
from memory_r1.retrieval.embedder import well_formed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from openai import OpenAI

_KNOWN_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}


class RemoteEmbedder:
    """Embeds through `POST /embeddings` of OpenAI or any server that speaks its language (vLLM, Ollama, TEI ...).

    Args:
        model: The endpoint's name for the model.
        base_url: Where the endpoint is, e.g. `http://localhost:11434/v1`; None: OpenAI, or `OPENAI_BASE_URL`.
        api_key: None: `OPENAI_API_KEY`; endpoints given by `base_url` may need none.
        dimension: Length of a vector; None asks the endpoint once for models that are not known by name.
        timeout_s: Longest wait for one request, in seconds.
        retries: How often a failed request is repeated, with growing pauses.
        batch_size: Most texts in one request.

    Raises:
        EndpointError: No API key is known for an endpoint that needs one.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        dimension: int | None = None,
        timeout_s: float = 60.0,
        retries: int = 3,
        batch_size: int = 128,
    ) -> None:
        if batch_size < 1:
            raise InvalidInputError(f"batch_size={batch_size} is not a positive number.")
        self._model = model
        self._dimension = dimension or _KNOWN_DIMENSIONS.get(model)
        self._batch_size = batch_size
        self._client = _client(base_url, api_key, timeout_s, retries)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The endpoint's name for the model."""
        return self._model

    @property
    def dimension(self) -> int:
        """Length of a vector; the first call may ask the endpoint."""
        with self._lock:
            if self._dimension is None:
                self._dimension = len(self._request(["dimension"])[0])
            return self._dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts.

        Returns:
            Shape (len(texts), dimension), float32, rows of unit norm.

        Raises:
            EndpointError: The endpoint cannot be reached, refused, or answered something else than was asked for.
        """
        import numpy as np

        if not texts:
            return np.empty((0, self.dimension), np.float32)
        rows: list[list[float]] = []
        for start in range(0, len(texts), self._batch_size):
            rows += self._request([well_formed(text) for text in texts[start : start + self._batch_size]])
        try:
            vectors = np.asarray(rows, np.float32)
        except (TypeError, ValueError) as error:
            raise self._unusable("vectors of several lengths") from error
        norms = np.linalg.norm(vectors, axis=1, keepdims=True) if vectors.ndim == 2 else np.zeros(1)
        if not np.all(np.isfinite(norms)) or not np.all(norms > 0):
            raise self._unusable("vectors without a direction")
        if vectors.shape[1] != self._expect(vectors.shape[1]):
            raise self._unusable(f"{vectors.shape[1]} dimensions instead of {self._dimension}")
        unit: NDArray[np.float32] = vectors / norms
        return unit

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _expect(self, seen: int) -> int:
        with self._lock:
            self._dimension = self._dimension or seen
            return self._dimension

    def _request(self, texts: list[str]) -> list[list[float]]:
        import openai

        from memory_r1.lm.remote_errors import explain

        try:
            answer = self._client.embeddings.create(model=self._model, input=texts, encoding_format="float")
            rows = [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        except openai.OpenAIError as error:
            url, key = str(self._client.base_url), self._client.api_key
            raise explain(error, model=self._model, url=url, key=key) from error
        except (AttributeError, TypeError, ValueError) as error:
            raise self._unusable(f"no embeddings ({error})") from error
        if len(rows) != len(texts):
            raise self._unusable(f"{len(rows)} vectors for {len(texts)} texts")
        return rows

    def _unusable(self, what: str) -> EndpointError:
        return EndpointError(
            f"{self._client.base_url} answered {what}.", hint=f"Check that {self._model} is an embedding model."
        )


def _client(base_url: str | None, api_key: str | None, timeout_s: float, retries: int) -> OpenAI:
    import os

    from openai import OpenAI, OpenAIError

    if base_url is not None and not api_key and not os.environ.get("OPENAI_API_KEY"):
        api_key = "none"  # the client insists on one; servers of one's own often do not
    try:
        return OpenAI(base_url=base_url, api_key=api_key, timeout=timeout_s, max_retries=retries)
    except OpenAIError as error:
        raise EndpointError(
            "No API key for the embedding endpoint.", hint="Set OPENAI_API_KEY, or give base_url of your own server."
        ) from error
