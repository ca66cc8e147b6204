"""What RWKV-7 makes of the recurrence's y: a norm over each head, the bonus of the token itself, the gate.

out = (norm_h(y) + (Σ r·k·r_k)·v)·gate
"""
