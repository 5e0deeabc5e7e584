"""Packs token sequences that begin alike into one sequence that holds every shared beginning once.

The completions of a group share their prompt, and all prompts of an agent share their instructions. Such sequences form
a tree: instructions, under them the prompts, under each prompt its completions. Unpacked, G completions of C tokens for
a prompt of P tokens cost G(P + C) tokens; packed they cost P + GC, and less where prompts share their beginning too.

Nodes are laid out in depth-first order. A token's position is its distance from the root. Attention (`attention.py`)
lets it see its own node up to itself and all nodes above, so every value and gradient equals the unpacked one.

Shapes: T tokens in the packed sequence, N of them to be learnt or scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

# subtrees shorter than this together share one attention call; longer ones would waste more on masks than they save
_SHARED_CALL = 384


@dataclass(frozen=True, slots=True)
class Node:
    """A stretch of tokens that follows its parent's.

    Raises:
        ValueError: It has no tokens.
    """

    tokens: tuple[int, ...]
    children: tuple[Node, ...] = ()
    scored: bool = False
    """Whether its tokens were written by the policy: only these are learnt and scored."""

    def __post_init__(self) -> None:
        if not self.tokens:
            raise ValueError("A node without tokens cannot be packed.")

    @property
    def size(self) -> int:
        """Tokens of the whole tree under this node."""
        return len(self.tokens) + sum(child.size for child in self.children)


def group(prompt: Sequence[int], completions: Iterable[Sequence[int]]) -> Node:
    """A prompt with completions sampled for it.

    Raises:
        ValueError: The prompt, the list of completions, or a completion is empty.
    """
    leaves = tuple(Node(tuple(completion), scored=True) for completion in completions)
    if not leaves:
        raise ValueError("A group without completions cannot be packed.")
    return Node(tuple(prompt), leaves)


def share_beginning(trees: Sequence[Node], least: int = 16) -> list[Node]:
    """Put neighbouring trees under one root as far as their first nodes begin alike, and so on below it.

    The instructions of an agent are shared by all its prompts, a list of memories by the questions about it. The order
    of the trees stays as it is; a beginning that is too short is left alone.

    Example:
        >>> root, = share_beginning([group([1, 2, 3], [[7]]), group([1, 2, 4], [[8]])], least=2)
        >>> root.tokens, [child.tokens for child in root.children], root.size
        ((1, 2), [(3,), (4,)], 6)
    """
    shared: list[Node] = []
    start = 0
    while start < len(trees):
        stop, length = start + 1, 0
        while stop < len(trees):
            common = shared_tokens(trees[stop - 1], trees[stop])
            if common < least:
                break
            length = common if stop == start + 1 else min(length, common)
            stop += 1
        run = trees[start:stop]
        shared += [_under_one_root(run, length, least)] if len(run) > 1 else run
        start = stop
    return shared


def shared_tokens(tree: Node, other: Node) -> int:
    """How many tokens of their first nodes two trees may share.

    One token must remain of each first node: it predicts the first token of its children.
    """
    if tree.scored or other.scored:
        return 0
    length = min(len(tree.tokens), len(other.tokens)) - 1
    return next((n for n in range(length) if tree.tokens[n] != other.tokens[n]), max(0, length))


def _under_one_root(trees: Sequence[Node], length: int, least: int) -> Node:
    below = [Node(tree.tokens[length:], tree.children) for tree in trees]
    return Node(trees[0].tokens[:length], tuple(share_beginning(below, least)))


@dataclass(frozen=True, slots=True)
class Call:
    """One attention call: a node, or neighbouring subtrees, look at everything above them and at themselves."""

    queries: slice
    above: tuple[slice, ...]
    """The nodes above, root first."""
    mask: torch.Tensor | None
    """(queries, above + queries) boolean; None: a single root node, plainly causal."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed sequence, ready for one forward pass."""

    input_ids: torch.Tensor
    """(1, T) token ids."""
    position_ids: torch.Tensor
    """(1, T) distances from the root."""
    calls: tuple[Call, ...]
    """Attention, in the order of the sequence; together their queries are the whole sequence."""
    predictors: torch.Tensor
    """(N,) place in the sequence whose output predicts each scored token."""
    targets: torch.Tensor
    """(N,) the scored tokens, node after node."""
    owners: torch.Tensor
    """(N,) the scored node that each of them belongs to, counted from 0 in the order of the trees."""


@dataclass
class _Layout:
    """The sequence as it grows."""

    device: torch.device | str
    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    predictors: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    scored: int = 0

    def place(self, node: Node, above: tuple[slice, ...], depth: int) -> slice:
        """Append a node's own tokens."""
        start = len(self.ids)
        self.ids.extend(node.tokens)
        self.positions.extend(range(depth, depth + len(node.tokens)))
        if node.scored:
            self.predictors.extend([above[-1].stop - 1, *range(start, start + len(node.tokens) - 1)])
            self.targets.extend(node.tokens)
            self.owners.extend([self.scored] * len(node.tokens))
            self.scored += 1
        return slice(start, len(self.ids))

    def descend(self, siblings: Sequence[Node], above: tuple[slice, ...], depth: int) -> None:
        """Append nodes with the same parent, and what is below them."""
        for run in _runs(siblings):
            start = len(self.ids)
            if len(run) == 1 and run[0].size > _SHARED_CALL:
                span = self.place(run[0], above, depth)
                self.calls.append(Call(span, above, self._mask([((), span)], start, above)))
                self.descend(run[0].children, (*above, span), depth + len(run[0].tokens))
                continue
            lines: list[Line] = []
            for node in run:
                self.place_all(node, above, depth, (), lines)
            self.calls.append(Call(slice(start, len(self.ids)), above, self._mask(lines, start, above)))

    def place_all(
        self, node: Node, above: tuple[slice, ...], depth: int, within: tuple[slice, ...], lines: list[Line]
    ) -> None:
        """Append a whole tree that is part of one call; `lines` gets each node with its ancestors within the call."""
        span = self.place(node, (*above, *within), depth)
        lines.append((within, span))
        for child in node.children:
            self.place_all(child, above, depth + len(node.tokens), (*within, span), lines)

    def _mask(self, lines: Sequence[Line], start: int, above: Sequence[slice]) -> torch.Tensor | None:
        if not above and len(lines) == 1:
            return None
        count = len(self.ids) - start
        own = torch.zeros((count, count), dtype=torch.bool)
        for ancestors, span in lines:
            rows = slice(span.start - start, span.stop - start)
            own[rows, rows] = torch.ones((span.stop - span.start,) * 2, dtype=torch.bool).tril()
            for ancestor in ancestors:
                own[rows, ancestor.start - start : ancestor.stop - start] = True
        seen = sum(span.stop - span.start for span in above)
        return torch.cat([own.new_ones(count, seen), own], dim=1).to(self.device)


Line = tuple[tuple[slice, ...], slice]
"""A node's place in the sequence, behind those of its ancestors within the same call."""


def _runs(siblings: Sequence[Node]) -> Iterator[list[Node]]:
    """Neighbouring siblings that are short enough, with all that is below them, to share a call; a larger one alone."""
    run: list[Node] = []
    for node in siblings:
        if run and sum(other.size for other in run) + node.size > _SHARED_CALL:
            yield run
            run = []
        run.append(node)
    if run:
        yield run


def pack(trees: Sequence[Node], *, device: torch.device | str = "cpu") -> Packed:
    """Lay trees one after another into one sequence. They do not see each other.

    Raises:
        ValueError: There is no tree, or a root is scored (nothing comes before it that could predict it).
    """
    if not trees or any(tree.scored for tree in trees):
        raise ValueError("There is nothing to pack, or a root has no prompt before it.")
    layout = _Layout(device)
    for tree in trees:
        layout.descend([tree], (), 0)

    def row(values: list[int]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    return Packed(
        row(layout.ids)[None],
        row(layout.positions)[None],
        tuple(layout.calls),
        row(layout.predictors),
        row(layout.targets),
        row(layout.owners),
    )


def batches(trees: Sequence[Node], max_tokens: int) -> list[list[int]]:
    """Divide trees into packs of at most `max_tokens` tokens, in order; a larger tree stands alone.

    What a tree shares with the one before it costs nothing.

    Returns:
        Indices into `trees`, one list a pack.

    Example:
        >>> batches([group([1, 2], [[3]]), group([1], [[2]]), group([1, 2, 3], [[4]])], 5)
        [[0, 1], [2]]
    """
    packs: list[list[int]] = []
    room = 0
    for index, tree in enumerate(trees):
        shared = shared_tokens(trees[index - 1], tree) if packs else 0
        if not packs or tree.size - shared > room:
            packs.append([])
            room, shared = max_tokens, 0
        packs[-1].append(index)
        room -= tree.size - shared
    return packs
