"""Settings: by argument, by `MEMORY_R1_*` environment variable, or by a TOML file, in this order of precedence."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from memory_r1.errors import ConfigError

MOST_SAMPLES = 64
"""Of answers to one question."""

CONFIG_VARIABLE = "MEMORY_R1_CONFIG"


def default_store() -> str:
    """The store that is used if none is named: one file in the user's data directory."""
    return str(Path(platformdirs.user_data_dir("memory-r1", appauthor=False)) / "memory.db")


def config_file() -> Path | None:
    """The TOML file in force: the one `MEMORY_R1_CONFIG` names, else the user's `config.toml` if it exists.

    Raises:
        ConfigError: `MEMORY_R1_CONFIG` names a file that does not exist.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise ConfigError(f"{CONFIG_VARIABLE} names {named}, which is not a file.", hint="Correct or unset it.")
        return Path(named)
    usual = Path(platformdirs.user_config_dir("memory-r1", appauthor=False)) / "config.toml"
    return usual if usual.is_file() else None


def reader_tokens(model: str) -> int:
    """How many tokens of memories suit a model as the Answer Agent: a small one reads ten better than forty.

    Example:
        >>> reader_tokens("bundled"), reader_tokens("openai:gpt-4o-mini")
        (400, 1500)
    """
    return 400 if model == "bundled" else 1500


class Settings(BaseSettings):
    """Everything that can be set. Each field is also a `MEMORY_R1_<FIELD>` variable and a key of the TOML file."""

    model_config = SettingsConfigDict(env_prefix="MEMORY_R1_", extra="forbid", frozen=True, env_ignore_empty=True)

    model: str = "bundled"
    """Language model: `bundled`, a path or hub id, `openai:NAME`, or `http://HOST:PORT/v1#NAME`."""
    adapters: dict[Literal["extractor", "manager", "answerer"], str] = Field(default_factory=dict)
    """LoRA adapter folder for each agent (local models only), or `none` for the base model. An agent that is not named
    has the policy that comes with the package if the model is the bundled one."""
    base_url: str | None = None
    """Endpoint for `openai:` models."""
    api_key: str | None = Field(default=None, repr=False)
    """Key for the endpoint; `OPENAI_API_KEY` if None."""
    embedder: str = "minilm"
    """Embedder: `minilm`, `hash`, a sentence-transformers path or hub id, or `openai:NAME`."""
    embedder_base_url: str | None = None
    """Endpoint for `openai:` embedders; `base_url` if None."""
    store: str = Field(default_factory=default_store)
    """SQLite file, or `:memory:`."""
    durable: bool = True
    """Wait for the disk at every write (`synchronous=FULL`); without it a power cut may lose the last moments."""
    prompts: str | None = None
    """Folder with prompt files that replace the shipped ones of the same name."""
    candidates: int = Field(default=3, ge=1, le=50)
    """How many existing memories the manager sees for a fact."""
    context_turns: int = Field(default=1, ge=0, le=20)
    """How many earlier turns the extractor may take names from; a prompt with `$context` shows them to the model."""
    roles: tuple[str, ...] = ("user",)
    """Chat roles whose messages become memories; the others are read as context only."""
    preset: Literal["auto", "paper"] = "auto"
    """How many memories the Answer Agent gets: `auto` cuts where relevance falls off, `paper` takes 30 per speaker."""
    budget_tokens: int | None = Field(default=None, ge=50)
    """Most tokens of memories given to the Answer Agent under `auto`; None: 400 for the bundled model, else 1,500."""
    answer_samples: int = Field(default=1, ge=1, le=MOST_SAMPLES)
    """How often the Answer Agent answers a question; beyond 1, the answer that the others agree with most is given."""
    max_chars: int = Field(default=100_000, ge=1)
    """Longest message or memory text accepted, in characters."""

    @property
    def reader_tokens(self) -> int:
        """`budget_tokens`, or what suits the model."""
        return reader_tokens(self.model) if self.budget_tokens is None else self.budget_tokens

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments over environment over file."""
        file = config_file()
        toml = (TomlConfigSettingsSource(settings_cls, file),) if file else ()
        return (init_settings, env_settings, *toml)


def load_settings(**arguments: Any) -> Settings:
    """Settings from all sources; arguments that are None count as not given.

    Raises:
        ConfigError: A value is unusable, a key is unknown, or the TOML file cannot be read.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        known = ", ".join(Settings.model_fields)
        raise ConfigError(f"Unusable setting: {problems}.", hint=f"Known: {known}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"The configuration file {config_file()} cannot be read: {error}.") from error
