"""Records runs as episodes; the format is `data_collection`'s."""
