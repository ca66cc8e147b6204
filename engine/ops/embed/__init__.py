"""The row of a token id, in fp32: where the residual stream begins."""
