"""Speed on a CPU beside llama.cpp and the `rwkv` package: see `run.py`."""
