"""What is found: embedders, indexes and hybrid search."""
