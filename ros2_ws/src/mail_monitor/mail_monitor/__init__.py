"""Shows what the stack does, and never takes part in it."""
