"""Looking whether all that is stored is as it was written, and putting back what can be proved."""
