"""memory-r1: long-term memory for LLM agents that learns what to keep."""

__version__ = "0.1.0"
