"""Language models: local, remote and bundled."""
