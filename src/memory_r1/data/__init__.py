"""Conversations and questions."""
