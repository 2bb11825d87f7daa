"""Parts of `mailctl bench recorder`."""
