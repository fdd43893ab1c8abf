"""A store and a model of it in plain dicts, driven by the same steps."""
