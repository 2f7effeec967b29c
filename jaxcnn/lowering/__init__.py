"""How things are computed: one algorithm a file, pure `jax.lax`; `choose` picks among them.

How a gradient is made fast without writing a gradient. Let y = f(x), and let J be the matrix of its
first derivatives, so that a small step dx of the input moves the output by

    dy = J dx                      the tangent, pushed forward; linear in dx.

For a number L made from y, the gradient with respect to x is its gradient g with respect to y,
times the same matrix transposed:

    dL/dx = J^T g                  since dL = g . dy = g . J dx = (J^T g) . dx.

JAX never asks for J^T. It takes the program that computes J dx, which has nothing but linear steps
in dx, and runs it backwards with each step transposed: a slice becomes a pad, a copy a sum, a
matrix product one with the transposed matrix, a select by a mask a select by the same mask. So the
*form* of the program for J dx decides the form, and the speed, of the gradient, and two programs
for the same J dx may have transposes of very different speed.

That is all that `custom_jvp` is used for here: where the transpose of XLA's own J dx is slow, we
state J dx as another sum of our own slices, selects, products and convolutions, chosen such that
its transpose is fast. For a convolution, J (dx, dk) = conv(dx, k) + conv(x, dk), laid out in
`conv_canonical`. For a max pool, J dx is dx at the winner of each window, a chain of selects in
`pool_shift`. Nobody writes J^T, so it cannot disagree with J; forward mode, reverse mode, second
derivatives, `vmap`, `checkpoint` and `scan` all follow from the one statement.
"""
