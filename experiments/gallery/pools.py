"""The sections on pools, and on the size of what any window gives."""

from experiments.gallery.items import Example, Section, slide

POOLING = Section(
    "Pooling",
    "A pool slides a window too but has no weights: it takes the largest number, the smallest, or "
    "the average. It makes maps smaller, and steadier: what moves a little within a window "
    "changes nothing.",
    (
        slide(
            "max_pool",
            "The largest of each 2×2 window; with strides of 2 the windows do not overlap.",
            '"max_pool", (4, 6), (2, 2), strides=2, step=0, numbers=True',
            "out[i, j] = max_{a, b} x[i*s + a, j*s + b]",
        ),
        slide(
            "max_pool_padded",
            "A maximum is padded with −∞, which never wins.",
            '"max_pool", (5, 5), (3, 3), strides=2, padding=1, step=0, numbers=True',
            "out[i, j] = max_{a, b} x[i*s + a - p, j*s + b - p]",
        ),
        slide(
            "avg_pool",
            "The average of three neighbours. At the ends the padding's zeros count.",
            '"avg_pool", (7,), (3,), strides=2, padding=1, step=0, numbers=True',
            "out[i] = {1}/{k} sum_{a} x[i*s + a - p]",
        ),
        Example(
            "what_padding_does",
            "Zeros in place of −∞ would beat negative numbers. And with `count_include_pad=False` "
            "an average divides by the cells alone: sixes stay sixes.",
            "low, six = jnp.full((4, 1), -5.0), jnp.full((4, 1), 6.0)\n"
            "F.max_pool(low, (3,), padding=1).ravel()\n"
            'F.max_pool(low, (3,), padding=1, padding_mode="zeros").ravel()\n'
            "F.avg_pool(six, (3,), padding=1).ravel()\n"
            "F.avg_pool(six, (3,), padding=1, count_include_pad=False).ravel()",
        ),
        slide(
            "pool_dilation",
            "Pools can be dilated as well; this one takes the smallest of four corners.",
            '"min_pool", (5, 5), (2, 2), window_dilation=3, step=0, numbers=True',
            "out[i, j] = min_{a, b} x[i*s + a*d, j*s + b*d]",
        ),
        Example(
            "moved",
            "A bright pixel moves by one within its window, and the pooled map remains the same.",
            "x = np.zeros((4, 4, 1))\n"
            "x[0, 0] = 9\n"
            "F.max_pool(x, (2, 2), strides=2)[..., 0]\n"
            "F.max_pool(np.roll(x, 1, axis=1), (2, 2), strides=2)[..., 0]",
        ),
    ),
    (
        (
            "a tie: which of two equals wins?",
            "#op=max_pool&n=4x4&k=2x2&s=2&x=5,5,1,2,5,0,2,2,3,1,7,7,1,3,7,7&grad=1",
        ),
        ("averages with padding", "#op=avg_pool&n=5x5&k=3x3&s=2&p=1&count=0"),
        (
            "morphology: a maximum of sums",
            "#op=grey_dilation&n=5x5&k=3x3&w=-2,-1,-2,-1,0,-1,-2,-1,-2",
        ),
    ),
)

SIZES = Section(
    "How large the output is",
    "Along each axis, alone: the input has n cells, and p before and after. A window of k taps "
    "spans e = d(k − 1) + 1 of them, and starts at every s-th. Count the starts, and that is "
    "the size. Everything else is a case of it, and the playground fills the numbers in.",
    (
        Example(
            "sizes",
            "The formula and the library agree, here for a kernel of 3, a dilation of 2, a "
            "stride of 3 and one cell of padding.",
            "n, k, d, s, p = 11, 3, 2, 3, 1\n"
            "(n + p + p - d * (k - 1) - 1) // s + 1\n"
            "F.conv(jnp.ones((n, 1)), jnp.ones((k, 1, 1)), strides=s, padding=p, "
            "kernel_dilation=d).shape",
            "out = floor({n + p_low + p_high - d*(k - 1) - 1}/{s}) + 1",
        ),
        Example(
            "same_sizes",
            "“SAME” is the padding with which there are n/s windows, rounded up; a 5 and a 6 both "
            "become 3 under a stride of 2.",
            "[F.conv(jnp.ones((n, 1)), jnp.ones((3, 1, 1)), strides=2).shape[0] for n in (5, 6, "
            "7)]",
            "out = ceil({n}/{s})",
        ),
        slide(
            "ceil_mode",
            "Pools may round up: the last window then hangs over the end, and what lies there "
            "is not counted.",
            '"avg_pool", (6,), (3,), strides=2, ceil_mode=True, step=0, numbers=True',
            "out = ceil({n - k}/{s}) + 1 = ceil({6 - 3}/{2}) + 1 = 3",
        ),
    ),
)

SECTIONS = (POOLING, SIZES)
