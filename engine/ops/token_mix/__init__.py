"""A norm, the token shift and its mixtures: what stands before the matrices of RWKV-7's time and channel mix.

n_t = norm(x_t)        mixed_m = n_t + (n_{t−1} − n_t)·share_m
"""
