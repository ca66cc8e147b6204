"""Side by side on one card: our kernels and other engines on the same weights, in one process.

    python -m tests.bench.gpu RESULTS.jsonl [row …]

A row that stands in the file is not measured again. See the README.md one folder above.
"""
