"""States on disk: one file each, found by key, within a byte budget."""
