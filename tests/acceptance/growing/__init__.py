"""Blocks that grow and runs that end, with real processes: the tests, and the processes they start."""
