"""What an embedder is: texts in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors whose dot product is their similarity. Safe to share between threads."""

    @property
    def name(self) -> str:
        """Identifies the model; stored with the vectors, which are of no use to another one."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts.

        Returns:
            Shape (len(texts), dimension), float32, rows of unit norm.

        Raises:
            ModelError: The model cannot be loaded.
            EndpointError: A remote endpoint failed for good.
        """
        ...


def well_formed(text: str) -> str:
    """The text with a question mark for each lone surrogate, which no tokenizer and no endpoint takes.

    Example:
        >>> well_formed("lone " + chr(0xD83D))
        'lone ?'
    """
    return text.encode("utf-8", "replace").decode("utf-8")
