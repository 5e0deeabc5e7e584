"""Mem0 v0.x: facts, and a prompt that decides on ADD, UPDATE, DELETE or NONE for them."""
