"""Operation by operation: what a Memory Manager makes of whole synthetic conversations whose right bank is known."""
