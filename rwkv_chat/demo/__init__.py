"""The built-in model: corpus over the app's own tables, training recipe, evaluation."""
