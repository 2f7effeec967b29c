"""Every primitive in plain NumPy float64, and beside it its gradient derived by hand.

Nothing here imports JAX. The forwards are explicit sums over windows, written to be read; each
`*_vjp` says in its docstring, index by index, how its gradient follows from that sum.
"""

from jaxcnn.reference.conv import conv, conv_vjp

__all__ = ["conv", "conv_vjp"]
