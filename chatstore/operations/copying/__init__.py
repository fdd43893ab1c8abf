"""Copying a store: rows as they are, where they came from, and what is open in them."""
