"""How good the memory is: metrics, and later judges, runners and reports."""
