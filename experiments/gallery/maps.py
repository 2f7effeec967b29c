"""The sections on the map that a convolution is: its matrix, its transpose, what flows back."""

from experiments.gallery.items import Example, Picture, Section, slide

MATRIX = Section(
    "The map as a matrix",
    "A convolution adds up multiples of its inputs, nothing else: it is linear, and so it is a "
    "matrix. Each row is one position of the window.",
    (
        Picture(
            "matrix_line",
            "The same weights repeat along the diagonals: a Toeplitz matrix. Blank entries are "
            "pixels that the window does not reach.",
            'visualize.conv_matrix([1, 2, 3], (8,), padding="VALID")',
            "out = W x",
        ),
        Picture(
            "matrix_plane",
            "In two dimensions the picture is written row by row as one column. The blocks repeat "
            "along the diagonal, and inside each block the weights do.",
            "visualize.conv_matrix([[1, -2], [3, 4]], (4, 4))",
        ),
        Example(
            "few_weights",
            "A full matrix of that size would have 144 entries to be learned; here there are 4.",
            'F.conv(jnp.ones((4, 4, 1)), jnp.ones((2, 2, 1, 1)), padding="VALID").size * 16',
        ),
    ),
    (("each operation's matrix stands below it", "#op=conv&n=4x4&k=2x2&p=VALID&w=1,-2,3,4"),),
)

BACKWARDS = Section(
    "Backpropagation",
    "A network learns by asking how its error, the loss L, would change with every number in "
    "it. The answer is worked out from the end: each layer is handed the gradient of its "
    "output, dL/dy, and computes two others. That of its input it hands to the layer before it. "
    "That of its kernel it keeps, for that is what learning changes.",
    (
        slide(
            "conv_gradient",
            "By the input: the gradient of a pixel gathers from every output that saw it. That "
            "is a full convolution of the output's gradient with the kernel turned round: the "
            "kernel's last tap meets the first output.",
            "(4, 4), (3, 3), step=0, numbers=True",
            "{dL}/{dx[u, v]} = sum_{a, b} {dL}/{dy[u - a, v - b]} * kernel[a, b]",
            function="conv_gradient",
        ),
        slide(
            "kernel_gradient",
            "By the kernel: a weight meets a pixel in every window, and its gradient adds up pixel "
            "times output's gradient over all of them. That is a convolution too: here the 4×4 "
            "input is slid over by the same output's gradient as above, 8 0 1 2, in the kernel's "
            "place (orange). What comes out (green) is as large as the kernel, 3×3: its gradient.",
            '"conv", (4, 4), (2, 2), padding="VALID", kernel=[[8, 0], [1, 2]], step=0',
            "{dL}/{dkernel[a, b]} = sum_{i, j} x[i + a, j + b] * {dL}/{dy[i, j]}",
            setup="#op=conv&n=4x4&k=3x3&p=VALID&dy=8,0,1,2&grad=1",
        ),
        Example(
            "both_gradients",
            "JAX derives both. Here the loss is the sum of squared differences from a target; one "
            "step down the kernel's gradient makes it smaller.",
            "x = random.normal(random.key(1), (8, 8, 1))\n"
            "kernel = random.normal(random.key(2), (3, 3, 1, 1))\n"
            "target = F.conv(x, jnp.full((3, 3, 1, 1), 1 / 9))  # a blur, to be learned\n"
            "loss = lambda x, kernel: jnp.square(F.conv(x, kernel) - target).sum()\n"
            "dx, dkernel = jax.grad(loss, argnums=(0, 1))(x, kernel)\n"
            "dx.shape, dkernel.shape\n"
            "loss(x, kernel), loss(x, kernel - 0.001 * dkernel)",
        ),
        slide(
            "conv_gradient_stride",
            "With strides the output's gradient is moved apart first: the backward pass of a "
            "convolution is a transposed convolution, of which more below.",
            "(5, 5), (3, 3), strides=2, step=0, numbers=True",
            "{dL}/{dx[u]} = sum_{i*s + a = u} {dL}/{dy[i]} * kernel[a]",
            function="conv_gradient",
        ),
        Picture(
            "max_route",
            "A max pool hands each gradient to the one cell that won (boxed in the input).",
            'visualize.pool_gradient("max_pool", [[8, 6, 5, 2], [3, 0, 1, 0], [1, 7, 6, 9], '
            "[5, 6, 2, 4]], (2, 2), 2)",
        ),
        Picture(
            "max_route_overlap",
            "Windows that overlap may have the same winner: it takes the sum, 1 + 2 + 3 = 6 and "
            "4 + 5 + 6 = 15. Of equal numbers the first wins.",
            'visualize.pool_gradient("max_pool", [1, 3, 3, 2, 5, 1], (3,), padding=1)',
        ),
        Picture(
            "avg_route",
            "An average spreads each gradient evenly over its window.",
            'visualize.pool_gradient("avg_pool", [[8, 6, 5, 2], [3, 0, 1, 0], [1, 7, 6, 9], '
            "[5, 6, 2, 4]], (2, 2), 2, cotangent=[[4, 8], [2, -4]])",
        ),
    ),
    (
        ("both gradients, with numbers to change", "#op=conv&n=4x4&k=3x3&p=VALID&grad=1"),
        ("with padding that reflects", "#op=conv&n=4x4&k=3x3&p=REFLECT&grad=1"),
        ("a max pool whose windows overlap", "#op=max_pool&n=6&k=3&p=1&x=1,3,3,2,5,1&grad=1"),
    ),
)

TRANSPOSED = Section(
    "Transposed convolution",
    "To make pictures larger, a network can run a convolution the other way, from the shape of its "
    "output to that of its input. Where the convolution multiplies by its matrix W, this "
    "multiplies by the transpose: each number lays a copy of the kernel on the output, and "
    "copies that overlap are added.",
    (
        Picture(
            "matrix_transposed",
            "The matrix of a convolution with strides of 2 from 5 cells to 2, transposed: each "
            "column lays the kernel on the output, two cells further.",
            "visualize.conv_matrix([1, 2, 3], (5,), strides=2, transposed=True)",
            "out = W^T y",
        ),
        Example(
            "two_kernels",
            "With these numbers, 1 and 2 lay 1 2 3 and 2 4 6 two cells apart: 1 2 5 4 6, which is "
            "Wᵀy, and what backpropagation computes. That is `transpose_kernel=True`. Flax's "
            "default slides the kernel as it lies over the numbers moved apart, and so lays it "
            "turned round, 3 2 1 and 6 4 2. For a network that learns its weights both are as "
            "good; a network that undoes a given convolution needs the first.",
            "y, kernel = jnp.array([1.0, 2.0]), jnp.array([1.0, 2.0, 3.0])\n"
            "laid = dict(strides=2, padding=0)\n"
            "F.conv_transpose(y[:, None], kernel[:, None, None], transpose_kernel=True, "
            "**laid).ravel()\n"
            "F.conv_transpose(y[:, None], kernel[:, None, None], **laid).ravel()\n"
            "F.conv_transpose(y[:, None], kernel[::-1, None, None], **laid).ravel()  # turned "
            "twice",
            "out[t] = sum_{i*s + a = t} y[i] * kernel[a]",
        ),
        Example(
            "adjoint",
            "What makes it the transpose: for any x and y the two products are equal. Without "
            "`transpose_kernel` they are not.",
            "x = jnp.array([5.0, -1.0, 2.0, 7.0, 3.0])\n"
            'once = F.conv(x[:, None], kernel[:, None, None], strides=2, padding="VALID")\n'
            "back = [F.conv_transpose(y[:, None], kernel[:, None, None], transpose_kernel=turn, "
            "**laid) for turn in (True, False)]\n"
            "once.ravel() @ y, x @ back[0].ravel(), x @ back[1].ravel()",
            "(W x) * y = x * (W^T y)",
        ),
        slide(
            "conv_transpose",
            "How it is computed: strides of 2 move the pixels apart; then a kernel slides by one "
            "cell over pixels, the zeros between them and the padding. (Flax's default, the kernel "
            "as it lies.)",
            '"conv_transpose", (3, 3), (3, 3), strides=2, padding=1, step=0, numbers=True',
            "out = (n - 1)*s + k - 2*p = (3 - 1)*2 + 3 - 2 = 5",
        ),
        slide(
            "output_padding",
            "A convolution with strides of 2 takes 5 and 6 pixels to the same 3, so the way "
            "back is not unique: output_padding adds the row and the column.",
            '"conv_transpose", (3, 3), (3, 3), strides=2, padding=1, output_padding=1, step=0, '
            "numbers=True",
            "out = (3 - 1)*2 + 3 - 2 + 1 = 6",
        ),
    ),
    (
        ("the kernel as it lies", "#op=conv_transpose&n=2&k=3&s=2&p=0&x=1,2&w=1,2,3"),
        ("the adjoint, turned round", "#op=conv_transpose&n=2&k=3&s=2&p=0&x=1,2&w=1,2,3&turn=1"),
    ),
)

CHECKERBOARDS = Section(
    "Checkerboards",
    "Pictures that networks paint by transposed convolutions often show a fine pattern. It is the "
    "stride's: neighbouring output cells meet different taps, and not even equally many.",
    (
        Picture(
            "checkerboard",
            "A kernel of 3 with strides of 2 writes onto some output cells four times and onto "
            "others once.",
            "visualize.overlap_counts((5, 5), (3, 3), strides=2)",
            "count[t] = sum_{i*s + a = t} 1",
        ),
        Picture(
            "no_checkerboard",
            "A kernel size that is a multiple of the stride covers the inside evenly. That is "
            "often called the cure.",
            "visualize.overlap_counts((5, 5), (4, 4), strides=2)",
        ),
        Picture(
            "decoded",
            "It is none. Two layers that enlarge by 2 are given a constant, in which there is "
            "nothing to be seen. With equal taps the kernel of 4 is even indeed; with random "
            "taps, as every network begins, all that varies repeats with the stride, for 4×4 as "
            "for 3×3: neighbours are written equally often, but by other taps. Enlarging first "
            "(each pixel repeated) and convolving then has no pattern: every output meets every "
            "tap.",
            "checkers.decoded_constants()",
        ),
        Example(
            "resized",
            "Resize-convolution is a layer of the library. What was constant comes out constant, "
            "inside; of a transposed convolution with the same seed four numbers repeat.",
            "up = nn.ResizeConv(1, 1, (3, 3), scale=2, rngs=nnx.Rngs(3))\n"
            "print(up(jnp.ones((4, 4, 1)))[2:-2, 2:-2, 0])\n"
            "up = nn.ConvTranspose(1, 1, (4, 4), 2, rngs=nnx.Rngs(3))\n"
            "print(up(jnp.ones((4, 4, 1)))[2:-2, 2:-2, 0])",
        ),
    ),
    (
        (
            "a constant and a kernel of 3",
            "#op=conv_transpose&n=4x4&k=3x3&s=2&x=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1&w=1,1,1,1,1,1,1,1,1",
        ),
        (
            "a kernel of 4 with other taps",
            "#op=conv_transpose&n=4x4&k=4x4&s=2&x=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
        ),
    ),
    "from experiments.gallery import checkers",
)

FIELDS = Section(
    "Receptive fields",
    "A unit deep in the network sees a patch of the picture: its receptive field. Every layer "
    "widens it. What lies in the middle counts more, because more paths lead from there.",
    (
        Picture(
            "field_two",
            "Two 3×3 convolutions see 5×5 pixels, those inside the dashed box, and the middle most "
            "of all. A layer widens the field by k − 1 times the product of the strides before it.",
            "visualize.receptive_field(lambda x: F.conv(F.conv(x, ones), ones), noise, "
            'title="Two layers")',
            "r = 1 + sum_{layers} (k - 1) * s_before = 1 + 2 + 2 = 5",
        ),
        Picture(
            "field_dilated",
            "Dilations of 1, 2 and 4 see 15×15 with three layers of nine weights; without dilation "
            "it would be 7×7. The steps of the dilation show as a grid.",
            "visualize.receptive_field(lambda x: F.conv(F.conv(F.conv(x, ones), ones, "
            "kernel_dilation=2), ones, kernel_dilation=4), noise, "
            'title="Dilations 1, 2, 4")',
            "r = 1 + 2*1 + 2*2 + 2*4 = 15",
        ),
        Example(
            "three_layers",
            "The same three layers, asked for what they see: with dilations, and without.",
            "def three(x, dilations):\n"
            "    for dilation in dilations:\n"
            "        x = F.conv(x, ones, kernel_dilation=dilation)\n"
            "    return x\n"
            "[analysis.receptive_field(lambda x: three(x, each), noise).size for each in "
            "((1, 2, 4), (1, 1, 1))]",
        ),
        Example(
            "lenet_sees",
            "LeNet-5, layer by layer: how many pixels a unit sees. And of its last maps, how far "
            "apart neighbours look, and how many there are.",
            "lenet = models.LeNet5(rngs=nnx.Rngs(0))\n"
            "fields = analysis.receptive_field(lenet.features.outputs, (1, 28, 28, 1))\n"
            "{name: fields[name].size for name in lenet.features.names}\n"
            'field = fields["pool2"]\n'
            "field.size, field.strides, field.output_shape",
        ),
    ),
)

SECTIONS = (MATRIX, BACKWARDS, TRANSPOSED, CHECKERBOARDS, FIELDS)
