"""Weights files: reading them into models, and writing them."""
