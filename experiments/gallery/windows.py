"""The first sections: from pixels to dilation, all that slides a kernel forward."""

from experiments.gallery.items import Example, Picture, Section, slide

PIXELS = Section(
    "Pixels and channels",
    "To a computer a picture is a grid of numbers. A grey picture has one number a pixel, how "
    "bright it is; a coloured one has three, red, green and blue, which are called its "
    "channels. The library writes the channels last: (height, width, channels). Inside a "
    "network there may be hundreds of channels, which then are no colours but answers to "
    "questions.",
    (
        Example(
            "a_picture",
            "A picture of 6 by 9 pixels with three channels. Its first row begins red and ends "
            "blue, and it grows green towards the bottom.",
            "row, column = np.mgrid[0:6, 0:9]\n"
            "picture = np.stack([1 - column / 8, row / 5, column / 8], axis=-1)\n"
            "picture.shape\n"
            "picture[0, 0], picture[0, 8], picture[5, 0]  # three pixels",
        ),
        Picture(
            "channels",
            "The same picture, and each of its channels alone: white is 1, black is 0.",
            "visualize.image_grid([picture, *(np.repeat(picture[..., c : c + 1], 3, -1) "
            'for c in range(3))], ["picture", "red", "green", "blue"], columns=4)',
        ),
    ),
)

KERNEL = Section(
    "One kernel",
    "A convolution slides a small window, the kernel, over a picture. Wherever the window lies, "
    "each of its weights is multiplied with the pixel below it, and the sum of the products "
    "becomes one pixel of the output. The same few weights are used everywhere: what is worth "
    "finding in one corner is worth finding in all.",
    (
        slide(
            "conv",
            "Move the slider: the kernel (orange) lies on nine cells of the input (blue). The "
            "small numbers are its weights, the line below is the sum, and the dark green cell "
            "receives it. The window stays inside, so the output is smaller.",
            '"conv", (5, 5), (3, 3), padding="VALID", step=0, numbers=True',
            "out[i, j] = sum_{a, b} x[i + a, j + b] * kernel[a, b]",
        ),
        slide(
            "edge",
            "What a kernel finds depends on its weights. This one takes what lies on its left from "
            "what lies on its right: 0 where the picture is flat, 27 where dark meets bright. "
            "It is a detector of upright edges.",
            '"conv", (4, 6), (3, 3), padding="VALID", inputs=[[0, 0, 0, 9, 9, 9]] * 4, '
            "kernel=[[-1, 0, 1]] * 3, step=0",
        ),
        slide(
            "conv_line",
            "The same in one dimension, as for sound.",
            '"conv", (7,), (3,), padding="VALID", step=0, numbers=True',
            "out[i] = sum_{a} x[i + a] * kernel[a]",
        ),
        Example(
            "true_convolution",
            "In mathematics a convolution turns the kernel round before it slides; what "
            "networks do is called a cross-correlation there. As a network learns its weights "
            "anyway, it could as well learn them turned round. With `flip_kernel=True` it is "
            "the mathematical one: then polynomials are multiplied, here 1 + 2t + 4t² with 1 + "
            "10t.",
            "signal = jnp.array([1.0, 2.0, 4.0]).reshape(3, 1)\n"
            "taps = jnp.array([1.0, 10.0]).reshape(2, 1, 1)\n"
            'F.conv(signal, taps, padding="FULL").ravel()\n'
            'F.conv(signal, taps, padding="FULL", flip_kernel=True).ravel()\n'
            "np.convolve([1, 2, 4], [1, 10])",
            "out[i] = sum_{a} x[i - a] * kernel[a]",
        ),
    ),
    (
        (
            "an edge detector on numbers of yours",
            "#op=conv&n=6x6&k=3x3&p=VALID&w=-1,0,1,-1,0,1,-1,0,1",
        ),
        ("a blur", "#op=conv&n=6x6&k=3x3&p=VALID&w=.1,.1,.1,.1,.2,.1,.1,.1,.1"),
        ("true convolution", "#op=conv&n=5x5&k=3x3&p=VALID&turn=1"),
    ),
)

CHANNELS = Section(
    "Many kernels, and a bias",
    "With several channels the window is a block: it has a slice of weights for each channel, and "
    "all products are added into one number. One such block finds one thing. A layer has many of "
    "them, each makes a channel of the output, a map of where its thing was found. At last each "
    "map has a number of its own added to it, the bias, which sets how much must be found.",
    (
        Example(
            "many_kernels",
            "Sixteen kernels over three colours: 3·3·3 weights and a bias each. However large the "
            "picture is, there are no more.",
            "layer = nn.Conv(3, 16, (3, 3), rngs=nnx.Rngs(0))\n"
            "layer.kernel.shape, layer.bias.shape\n"
            "layer.kernel.size + layer.bias.size  # all that is learned\n"
            "layer(jnp.ones((32, 32, 3))).shape\n"
            "layer(jnp.ones((1000, 700, 3))).shape",
            "out[i, j, o] = bias[o] + sum_{a, b, c} x[i + a, j + b, c] * kernel[a, b, c, o]",
        ),
        Example(
            "fully_connected",
            "A layer without a window, that connects every number of a 32 by 32 picture with every "
            "number of such an output, would have to learn fifty million weights.",
            "(32 * 32 * 3) * (32 * 32 * 16)",
        ),
        Example(
            "groups",
            "In groups, each kernel sees a part of the channels alone: with two groups the first "
            "half of the outputs sees the first half of the inputs, with half the weights.",
            "x = jnp.ones((32, 32, 8))\n"
            "every, half = jnp.ones((3, 3, 8, 16)), jnp.ones((3, 3, 4, 16))\n"
            "F.conv(x, every).shape, every.size\n"
            "F.conv(x, half, feature_group_count=2).shape, half.size",
        ),
    ),
    (
        ("two channels in, three out", "#op=conv&n=4x4&k=2x2&p=VALID&c=2&f=3"),
        ("two groups", "#op=conv&n=4x4&k=2x2&p=VALID&c=4&f=2&g=2"),
        ("depthwise: a group a channel", "#op=conv&n=4x4&k=2x2&p=VALID&c=3&f=3&g=3"),
    ),
)

STRIDE = Section(
    "Stride",
    "The window may move by more than one cell at a time. The output shrinks by that factor "
    "along each axis, and so there are fewer sums to work out.",
    (
        Picture(
            "stride_all",
            "All nine steps of a 3×3 kernel that moves by 2 over a 7×7 input, each drawn where its "
            "output cell lies: the output is 3×3.",
            'visualize.sliding_window("conv", (7, 7), (3, 3), strides=2, padding="VALID")',
            "out = floor({n - k}/{s}) + 1 = floor({7 - 3}/{2}) + 1 = 3",
        ),
        slide(
            "stride_padded",
            "With a row of zeros around it, the same stride takes 5×5 to 3×3.",
            '"conv", (5, 5), (3, 3), strides=2, padding=1, step=0, numbers=True',
            "out = floor({5 + 1 + 1 - 3}/{2}) + 1 = 3",
        ),
        Example(
            "less_work",
            "How many sums a 32 by 32 picture takes with strides of 1, 2 and 4: in a picture a "
            "stride of 2 leaves a quarter of them.",
            "[F.conv(jnp.ones((32, 32, 1)), ones, strides=s).size for s in (1, 2, 4)]",
        ),
        Example(
            "left_over",
            "What does not fit is left out: with a stride of 2 the last row and column of 8×8 are "
            "seen by no window, and the output is that of 7×7.",
            "kernel = jnp.ones((3, 3, 1, 1))\n"
            'F.conv(jnp.ones((7, 7, 1)), kernel, strides=2, padding="VALID").shape\n'
            'F.conv(jnp.ones((8, 8, 1)), kernel, strides=2, padding="VALID").shape',
        ),
    ),
    (("what if the stride were 3?", "#op=conv&n=7x7&k=3x3&s=3&p=VALID"),),
)

PADDING = Section(
    "Padding",
    "Without padding the output shrinks, and pixels at the edge are seen by fewer windows than "
    "others. Padding puts cells around the input. What they hold is a choice.",
    (
        Example(
            "seen_by",
            "How many windows see each pixel of 5 by 5, first without padding, then with: the "
            "derivative of the sum of all outputs, where each tap is 1.",
            "def seen(padding):\n"
            "    total = lambda x: F.conv(x, ones, padding=padding).sum()\n"
            "    return jax.grad(total)(jnp.zeros((5, 5, 1)))[..., 0]\n"
            'print(seen("VALID").astype(int))\n'
            'print(seen("SAME").astype(int))',
        ),
        slide(
            "same",
            "Zeros around the input (dashed): one cell on each side keeps the size of the picture "
            "with a 3×3 kernel. This is the padding “SAME”.",
            '"conv", (4, 5), (3, 3), padding="SAME", step=0, numbers=True',
            "out = n + p_low + p_high - k + 1 = 4 + 1 + 1 - 3 + 1 = 4",
        ),
        slide(
            "reflect",
            "Reflected: the padding mirrors the picture without repeating its edge, 432|1234|321. "
            "Each letter names a pixel, so that you can see what is copied where.",
            '"conv", (4, 5), (3, 3), padding_mode="reflect", step=0',
        ),
        slide(
            "replicate",
            "Replicated: the edge is repeated, 111|1234|444.",
            '"conv", (4, 5), (3, 3), padding_mode="replicate", step=0',
        ),
        slide(
            "circular",
            "Circular: the picture wraps around, as on a torus, 234|1234|123.",
            '"conv", (4, 5), (3, 3), padding_mode="circular", step=0',
        ),
        Picture(
            "full",
            "As much padding as possible: every place where kernel and input still meet. The "
            "output grows. This is the wide convolution, “FULL”.",
            'visualize.sliding_window("conv", (3, 3), (2, 2), padding="FULL")',
            "out = n + k - 1 = 3 + 2 - 1 = 4",
        ),
    ),
    (
        ("amounts of your own, even uneven", "#op=conv&n=4x5&k=3x3&p=2,0x0,1"),
        ("negative padding cuts cells off", "#op=conv&n=6x6&k=3x3&p=-1"),
        ("what is refused", "#op=conv&n=3x3&k=5x5&p=VALID"),
    ),
)

DILATION = Section(
    "Dilation",
    "A dilated kernel has gaps between its taps. It sees further with the same number of weights. "
    "With padding the picture does not become smaller either, which is what a network needs that "
    "says something of every pixel.",
    (
        slide(
            "kernel_dilation",
            "A 3×3 kernel with a dilation of 2 spans 5×5 cells and has nine weights still.",
            '"conv", (7, 7), (3, 3), kernel_dilation=2, padding="VALID", step=0, numbers=True',
            "e = d*(k - 1) + 1 = 2*(3 - 1) + 1 = 5",
        ),
        Example(
            "size_kept",
            "“SAME” is the default, and keeps the size whatever the dilation.",
            "[F.conv(jnp.ones((7, 7, 1)), ones, kernel_dilation=d).shape for d in (1, 2, 3)]",
        ),
        slide(
            "causal",
            "Causal padding: an output sees the present and the past alone, here every second "
            "moment of it.",
            '"conv", (8,), (3,), kernel_dilation=2, padding="CAUSAL", step=0, numbers=True',
            "out[t] = sum_{a} x[t - (k - 1 - a)*d] * kernel[a]",
        ),
        slide(
            "input_dilation",
            "A dilated input: zeros between its pixels. Taps that meet no pixel are pale.",
            '"conv", (3, 3), (3, 3), input_dilation=2, step=0, numbers=True',
            "r*(n - 1) + 1 = 2*(3 - 1) + 1 = 5",
        ),
    ),
    (("a dilation of 3", "#op=conv&n=9x9&k=3x3&d=3&p=VALID"),),
)

SECTIONS = (PIXELS, KERNEL, CHANNELS, STRIDE, PADDING, DILATION)
