"""Other people's forms of a conversation, to and from blocks: pure functions, no I/O."""
