"""A run without a word of its data: scores and costs of every question by its id, for a public repository.

Some benchmark data may not be passed on freely (LoCoMo is CC BY-NC); scores may. Texts are replaced by the beginning of
their SHA-256, so whoever runs the same can see answer by answer whether it came out the same. To `bench compare` and
`bench seeds` the copy is a run like others. Memories are left out, so figures of retrieval stand in its report alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil

from memory_r1.bench.records import Prediction
from memory_r1.bench.report.markdown import PICTURES, to_markdown
from memory_r1.bench.report.write import MARKDOWN, write_report
from memory_r1.bench.run_folder import BenchFolder
from memory_r1.errors import ConfigError

TEXTS = "texts"
"""Key of a copy's configuration that no run has: what became of the texts."""

_DIGITS = 4
"""Decimals of scores and seconds; more would only make files that differ from machine to machine longer."""


def publish_run(source: BenchFolder, target: BenchFolder, *, replace: bool = False) -> None:
    """Copy a run without its texts, with its report as Markdown.

    Args:
        source: The run; its report is written anew, and the rest stays as it is.
        target: Where to.
        replace: Whether a copy that is there already gives way.

    Raises:
        ConfigError: The target holds a copy and `replace` is not set, or a run that is no copy, or is the source.
        NotFoundError: The source holds no run.
        InvalidInputError: The source is damaged, or has answered nothing yet.
        StoreError: The target cannot be written.
    """
    config = source.config()
    report = write_report(source.path)
    if target.started():
        if not replace:
            raise ConfigError(f"There is a run in {target.path}.", hint="Give another --to, or add --replace.")
        if TEXTS not in target.config() or target.path.resolve() == source.path.resolve():
            raise ConfigError(f"{target.path} is no copy of a run, but a run itself.", hint="Give another --to.")
        shutil.rmtree(target.path / "systems", ignore_errors=True)
        shutil.rmtree(target.path / PICTURES, ignore_errors=True)
    with target.alone():
        for name in source.systems():
            target.replace(name, [without_texts(one) for one in source.predictions(name).values()])
            for one in source.stats(name).values():
                target.add(name, one)
        target.write_config({**config, TEXTS: "left out; in their place the beginning of their SHA-256"})
        (target.path / MARKDOWN).write_text(to_markdown(report.document), encoding="utf-8")
        if (source.path / PICTURES).is_dir():
            shutil.copytree(source.path / PICTURES, target.path / PICTURES)
    shutil.rmtree(target.path / ".local", ignore_errors=True)


def without_texts(one: Prediction) -> Prediction:
    """A prediction whose texts are hashes, without memories and evidence.

    Example:
        >>> asked = Prediction(conversation="c", question_id="c#0", question="Who?", category="2", gold="", answer="")
        >>> without_texts(asked).question, without_texts(asked).answer
        ('#d991a24e', '')
    """
    return one.model_copy(
        update={
            "question": hashed(one.question),
            "gold": None if one.gold is None else hashed(one.gold),
            "answer": hashed(one.answer),
            "evidence": (),
            "memories": (),
            "error": None if one.error is None else one.error.partition(":")[0],
            "scores": {name: round(score, _DIGITS) for name, score in one.scores.items()},
            "cost": dataclasses.replace(one.cost, seconds=round(one.cost.seconds, _DIGITS)),
        }
    )


def hashed(text: str) -> str:
    """`#` and the first eight digits of a text's SHA-256; nothing for a text without a word.

    Example:
        >>> hashed("Ann"), hashed(" ")
        ('#17239b6e', '')
    """
    return f"#{hashlib.sha256(text.encode()).hexdigest()[:8]}" if text.strip() else ""
