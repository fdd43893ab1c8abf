"""Storage operations: each a typed function on an open connection or transaction.

They open nothing and commit nothing, take checked values and return models, so that the sync and the async store,
and every database, run the same ones.
"""
