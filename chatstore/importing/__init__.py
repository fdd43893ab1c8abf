"""What other programs left behind, as blocks: for each of their formats a reader, which looks and stores nothing."""
