"""MemGPT: a model that edits its own core memory and searches archival memory, by function calls."""
