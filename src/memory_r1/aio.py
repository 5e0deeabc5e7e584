"""`AsyncMemory`: `Memory` for asyncio, one logic under both."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from memory_r1.memory import Memory

P = ParamSpec("P")
R = TypeVar("R")


def _awaited(
    method: Callable[Concatenate[Memory, P], R],
) -> Callable[Concatenate[AsyncMemory, P], Coroutine[Any, Any, R]]:
    async def call(self: AsyncMemory, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(method, self.memory, *args, **kwargs)

    functools.update_wrapper(call, method)
    return call


class AsyncMemory:
    """`Memory` whose methods are coroutines; each runs on a worker thread.

    Takes the same arguments. `await AsyncMemory.from_config(...)` works as well as without `await`.

    Example:
        >>> async def main():
        ...     async with AsyncMemory(store=":memory:", embedder="hash") as memory:
        ...         await memory.add("Ann likes tea.", user_id="ann", infer=False)
        ...         return (await memory.get_all(user_id="ann"))["results"][0]["memory"]
        >>> asyncio.run(main())
        'Ann likes tea.'
    """

    def __init__(self, config: Mapping[str, Any] | None = None, **settings: Any) -> None:
        self.memory = Memory(config, **settings)
        """The synchronous memory underneath."""

    @classmethod
    def from_config(cls, config_dict: Mapping[str, Any]) -> Self:
        """Build from a configuration dictionary, ours or mem0's."""
        return cls(config_dict)

    def __await__(self) -> Generator[None, None, Self]:
        # mem0's `from_config` is a coroutine in some versions
        yield from ()
        return self

    add = _awaited(Memory.add)
    plan = _awaited(Memory.plan)
    ingest = _awaited(Memory.ingest)
    search = _awaited(Memory.search)
    answer = _awaited(Memory.answer)
    get = _awaited(Memory.get)
    get_all = _awaited(Memory.get_all)
    update = _awaited(Memory.update)
    delete = _awaited(Memory.delete)
    delete_all = _awaited(Memory.delete_all)
    erase = _awaited(Memory.erase)
    reset = _awaited(Memory.reset)
    history = _awaited(Memory.history)
    log = _awaited(Memory.log)
    undo = _awaited(Memory.undo)
    as_of = _awaited(Memory.as_of)
    export = _awaited(Memory.export)
    import_ = _awaited(Memory.import_)
    close = _awaited(Memory.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
