"""The text that the built-in model learns from: a seeded generator over the app's own tables."""
