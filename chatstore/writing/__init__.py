"""The write path: drafts are checked where they are given, and committed in groups."""
