"""What the chunk forms of the recurrences share: a chunk of tokens is an affine map of the state.

With X = Sᵀ [K,V] at a chunk's start, P [K] the chunk's decay and matrices that need no state:

    X ← P⊙X + Q·X + N        y = y₀ + R·X

so every chunk is worked on at once but for the scan, and the scan does one small product for each chunk.
Its gradient is a scan of the same form from the other end, with Qᵀ for Q.
"""
