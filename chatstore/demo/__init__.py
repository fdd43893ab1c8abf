"""The demo: an agent in one process, followed from another."""
