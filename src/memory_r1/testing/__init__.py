"""Test doubles, public so that users can test their own programs with them."""

from memory_r1.testing.embedder import HashEmbedder
from memory_r1.testing.lm import Call, Endless, ScriptedLM
from memory_r1.testing.server import Failure, OpenAIStub, Raw, StubCall

__all__ = ["Call", "Endless", "Failure", "HashEmbedder", "OpenAIStub", "Raw", "ScriptedLM", "StubCall"]
