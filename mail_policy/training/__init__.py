"""Training, and the checkpoints that it writes."""
