"""Packed weights (`engine.quant`) in kernels: tiles of them as numbers, and all of them written out.

`tiles` has the functions that other kernels call; `unpacked` makes a plain matrix for a large product.
"""
