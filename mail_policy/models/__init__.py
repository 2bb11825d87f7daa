"""The networks of MaIL. One file per idea; which ones are combined is configuration."""
