"""Real memory packages, each in a virtual environment of its own, driven as a process and given our model by HTTP."""
