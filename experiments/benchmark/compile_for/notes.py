"""Where a target is missed: what was tried, and why it stops there.

The targets, forward and backward: no more bytes and no more kernels than lax's; on an H100 a mean
time of 0.65 of lax's, on a TPU 0.9 and no row above 1.05.
"""

_THREE_CALLS = (
    "three calls of cuDNN move 1.5 x the least by themselves; the rest is the kernel's order of "
    "axes, changed once each way"
)

# By platform, "cuda" or "tpu", and row.
NOTES: dict[str, dict[str, str]] = {
    "cuda": {
        "conv 3x3 dilated by 8": (
            "phases of the images, as lax: a kernel spread out to 17x17 moves 19 MB in 6 kernels, "
            "for 32 times the products of its gradient"
        ),
        "conv 1x1, 256 to 256": (
            "as products of matrices 3 kernels of as many bytes; with bias and activation 10 % more"
        ),
        "max 31x31": (
            "an axis at a time on purpose: lax reads 961 pixels for each window, which takes longer"
        ),
        "avg 3x3 strides 2, padding not counted": (
            "the division by the pixels of each window is a kernel of its own in float32"
        ),
        "avg 13x13": (
            "an axis at a time on purpose: lax reads 169 pixels for each window, which takes longer"
        ),
        "lp 3x3 strides 2": "the gradient reads the inputs again; 1.5 x is the floor of that",
        "logsumexp 3x3 strides 2": (
            "the gradient needs the outputs again, float32 ones also where the inputs are narrow"
        ),
        "transposed 4x4 strides 2, 128 to 64": _THREE_CALLS,
        "transposed 3x3 strides 2, 128 to 64": _THREE_CALLS,
        "transposed 2x2 strides 2, 128 to 64": _THREE_CALLS,
        "transposed 1-D, 8 taps, strides 4": _THREE_CALLS,
        "transposed 3x3, 64 to 64": "strides of 1: a convolution, as lax's",
        "transposed 4x4 strides 2, 4 groups of 16": (
            "of groups XLA knows no such gradient: one array is dilated, of lax's two"
        ),
        "transposed 3-D 2x2x2 strides 2": "XLA takes 3-D arrays channels first, and transposes all",
        "global max of 14x14": "who wins is looked for in a pass of its own",
        "unpool 2x2": "forward: two kernels ask first whether all indices lie in their own windows",
        "deform 3x3, 64 to 64": (
            "sums in a fixed order, of sorted positions. lax's four scatters add in none, and that "
            "their additions wait for each other is not in the model. Products with a matrix of "
            "weights move a row of all pixels for each position"
        ),
    },
    "tpu": {
        "conv depthwise 3x3, twice": "gradients of a channel for each feature; forward lax's own",
        "max 1-D, 4 taps, strides 4": "its own windows, behind keys that tell NaN and -inf apart",
        "resize nearest 16 to 32, conv 3x3": "copies along both axes at once, summed in float32",
    },
}
