"""What is remembered: memories, the log of operations, and the stores that keep them."""
