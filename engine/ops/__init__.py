"""One folder per operation: a plain reference (`naive`) and the fast forms of it. Knows no model."""
