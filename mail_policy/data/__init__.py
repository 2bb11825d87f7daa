"""From recorded episodes to windows and batches."""
