"""The time mix's first half: everything that is made from the normed input, seven matrices at once.

r, k, v are three projections of three mixtures; then the hidden vectors of the low-rank networks that make
decay (w), iclr (a), value residual (v) and gate (g), with their tanh (w) and sigmoid (g).
"""
