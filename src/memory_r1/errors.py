"""Every error memory-r1 raises on purpose.

One tree, so that a caller can catch all of it at once. Each error says what went wrong and, in its `hint`, what to do
about it; both appear in `str(error)`. Where mem0 raises a `ValueError`, ours is one too, so that code written for mem0
keeps working.
"""


class MemoryR1Error(Exception):
    """Base of all memory-r1 errors.

    Args:
        message: What went wrong, in one sentence.
        hint: What the user can do about it, in one sentence; empty if the message already says it.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class InvalidInputError(MemoryR1Error, ValueError):
    """A caller's argument cannot be used as it is: empty text, a bad filter, a bad time, an oversized message."""


class ScopeError(InvalidInputError):
    """No scope was given, or an operation reaches outside of its scope."""


class NotFoundError(MemoryR1Error, ValueError):
    """No memory or operation has this id."""


class ConflictError(MemoryR1Error):
    """The bank has moved on since it was read: the memory changed, or a later operation stands in the way."""


class StoreError(MemoryR1Error):
    """The store cannot be read or written: a foreign or damaged file, a read-only folder, a full disk, a lock."""


class EmbedderMismatchError(StoreError):
    """The bank's vectors come from another embedder than the one in use."""


class ConfigError(MemoryR1Error, ValueError):
    """A setting is missing, unknown or contradictory."""


class ModelError(MemoryR1Error):
    """A language model or embedder is missing, damaged, or cannot be loaded."""


class EndpointError(ModelError):
    """A remote model endpoint cannot be reached, refused the request, or answered something unusable."""


class PromptTooLongError(ModelError, ValueError):
    """A prompt does not fit the model's context window."""


class TrainingError(MemoryR1Error):
    """Training cannot go on or start: a loss that is not a number, no usable task, a foreign or damaged run folder."""
