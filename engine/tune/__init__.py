"""Training: data, initial weights, the loop, run folders."""
