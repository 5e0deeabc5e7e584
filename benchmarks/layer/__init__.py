"""What the memory layer itself costs, beside its rivals: search, writes, concurrency, memory, start-up, prompts."""
