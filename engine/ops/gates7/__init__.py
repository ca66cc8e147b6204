"""What RWKV-7 makes of its projections before the recurrence, element by element and head by head.

κ = normalise(k·k_k)   iclr = σ(iclr_logit)   log_w = −0.606531·σ(decay_logit)
a = −κ   b = κ·iclr   k ← k + (k·iclr − k)·k_a   v ← v + (v_first − v)·σ(v_logit)
"""
