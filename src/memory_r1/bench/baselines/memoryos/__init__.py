"""MemoryOS: short-term pages, mid-term segments with heat, long-term profile and knowledge."""
