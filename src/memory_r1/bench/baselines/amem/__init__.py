"""A-Mem: notes that the model describes, links and rewrites."""
