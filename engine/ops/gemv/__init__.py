"""A matrix times one vector (or a few), where the vector is normed and mixed by every program for itself.

The vector is 4 to 16 KB and lies in the cache beside the multiprocessors; the matrix is read once, from
memory. So no kernel norms or mixes alone, and no mixed vector is ever written.

`matrix.py`: the three forms of a matrix. `triton_parts.py`: what kernels are made of. `triton_project.py`:
one matrix; `engine.ops.time_mix_in` takes seven at once.
"""
