"""Conversations from files. A file is hostile until it was checked: sizes, kinds, ids, circles."""
