"""What the gallery shows: sections of pictures, each with the call that makes it.

The call is text, shown on the page and evaluated as it stands, so that the page can't show another
call than the one that made the picture.
"""

from typing import NamedTuple


class Picture(NamedTuple):
    """A picture of the gallery.

    Attributes:
      name: of its file, and its anchor on the page.
      caption: what to see in it, in plain words.
      call: a Python expression that gives a figure.
      formula: what is computed, in one line; "" for none.
      slides: whether it is shown with a slider, as the page that the call's `animation` makes.
    """

    name: str
    caption: str
    call: str
    formula: str = ""
    slides: bool = False


class Section(NamedTuple):
    """Pictures under one heading."""

    title: str
    text: str
    pictures: tuple[Picture, ...]


def slide(name: str, caption: str, arguments: str, formula: str = "", function="sliding_window"):
    """A picture with a slider; `arguments` are those of the call without `animation`."""
    call = f'visualize.{function}({arguments}, animation=folder / "{name}.html")'
    return Picture(name, caption, call, formula, slides=True)


SECTIONS = (
    Section(
        "Convolution",
        "A convolution slides a small window, the kernel, over an image. Wherever the window lies, "
        "each of its weights is multiplied with the pixel below it, and the sum of the products "
        "becomes one pixel of the output. The same few weights are used everywhere.",
        (
            slide(
                "conv",
                "Move the slider: the kernel (orange) lies on nine cells of the input (blue). The "
                "small numbers are its weights, the line below is the sum, and the dark green cell "
                "receives it. No padding: the window stays inside, so the output is smaller.",
                '"conv", (5, 5), (3, 3), padding="VALID", step=0, numbers=True',
                "out[i, j] = sum over a, b of x[i + a, j + b] * kernel[a, b]",
            ),
            slide(
                "conv_line",
                "The same in one dimension, as for sound. (Mathematicians turn the kernel round "
                "first and call that convolution; networks learn the weights anyway and do not.)",
                '"conv", (7,), (3,), padding="VALID", step=0, numbers=True',
                "out[i] = sum over a of x[i + a] * kernel[a]",
            ),
            Picture(
                "matrix_line",
                "A convolution is linear, so it is a matrix. Each row is one position of the "
                "window. The same weights repeat along the diagonals: a Toeplitz matrix. Blank "
                "entries are pixels that the window does not reach.",
                'visualize.conv_matrix([1, 2, 3], (8,), padding="VALID")',
                "out = W x",
            ),
            Picture(
                "matrix_plane",
                "In two dimensions the image is written row by row as one column. The blocks "
                "repeat along the diagonal, and inside each block the weights do.",
                "visualize.conv_matrix([[1, -2], [3, 4]], (4, 4))",
                "out = W x",
            ),
        ),
    ),
    Section(
        "Padding",
        "Without padding the output shrinks, and pixels at the edge are seen by fewer windows. "
        "Padding puts cells around the input. What they hold is a choice.",
        (
            slide(
                "same",
                "Zeros around the input (dashed): one cell on each side keeps the size of the "
                "image with a 3×3 kernel. This is the padding “SAME”.",
                '"conv", (4, 5), (3, 3), padding="SAME", step=0, numbers=True',
                "out = n + p_low + p_high - k + 1",
            ),
            slide(
                "reflect",
                "Reflected: the padding mirrors the image without repeating its edge. Each letter "
                "names a pixel, so that you can see what is copied where.",
                '"conv", (4, 5), (3, 3), padding_mode="reflect", step=0',
                "432|1234|321",
            ),
            slide(
                "replicate",
                "Replicated: the edge is repeated.",
                '"conv", (4, 5), (3, 3), padding_mode="replicate", step=0',
                "111|1234|444",
            ),
            slide(
                "circular",
                "Circular: the image wraps around, as on a torus.",
                '"conv", (4, 5), (3, 3), padding_mode="circular", step=0',
                "234|1234|123",
            ),
            Picture(
                "full",
                "As much padding as possible: every place where kernel and input still meet. The "
                "output grows. This is the wide convolution, “FULL”.",
                'visualize.sliding_window("conv", (3, 3), (2, 2), padding="FULL")',
                "out = n + k - 1",
            ),
        ),
    ),
    Section(
        "Stride",
        "The window may move by more than one cell at a time. The output shrinks by that factor.",
        (
            Picture(
                "stride",
                "All nine steps of a 3×3 kernel that moves by 2 over a 7×7 input, each drawn where "
                "its output cell lies: the output is 3×3.",
                'visualize.sliding_window("conv", (7, 7), (3, 3), strides=2, padding="VALID")',
                "out = floor((n + p_low + p_high - k) / s) + 1 = floor((7 - 3) / 2) + 1 = 3",
            ),
            slide(
                "stride_padded",
                "Strides 2 and a padding of 1: a 6×6 input gives 3×3. The last row and column of "
                "the padding are never reached: the window would have to go half a step further.",
                '"conv", (6, 6), (3, 3), strides=2, padding=1, step=0, numbers=True',
                "out = floor((6 + 1 + 1 - 3) / 2) + 1 = 3",
            ),
        ),
    ),
    Section(
        "Dilation",
        "Dilation moves things apart. A dilated kernel has gaps between its taps and sees further "
        "with as many weights; a dilated input has zeros between its pixels.",
        (
            slide(
                "kernel_dilation",
                "A 3×3 kernel with a dilation of 2 spans 5×5 cells and still has nine weights.",
                '"conv", (7, 7), (3, 3), kernel_dilation=2, padding="VALID", step=0, numbers=True',
                "out[i, j] = sum over a, b of x[i + a*d, j + b*d] * kernel[a, b], "
                "spanning d*(k - 1) + 1",
            ),
            slide(
                "causal",
                "Causal padding: an output sees the present and the past alone, here every second "
                "moment of it. Speech and sequence models stack such layers.",
                '"conv", (8,), (3,), kernel_dilation=2, padding="CAUSAL", step=0, numbers=True',
                "out[t] = sum over a of x[t - (k - 1 - a)*d] * kernel[a]",
            ),
            slide(
                "input_dilation",
                "A dilated input: zeros between its pixels. Taps that meet no pixel are pale.",
                '"conv", (3, 3), (3, 3), input_dilation=2, step=0, numbers=True',
                "n becomes r*(n - 1) + 1",
            ),
        ),
    ),
    Section(
        "Pooling",
        "A pool slides a window too but has no weights: it takes the largest number, the "
        "smallest, or the average. It makes maps smaller and their answer steadier.",
        (
            slide(
                "max_pool",
                "The largest of each 2×2 window; windows do not overlap with strides of 2.",
                '"max_pool", (4, 6), (2, 2), strides=2, step=0, numbers=True',
                "out[i, j] = max over a, b of x[i*s + a, j*s + b]",
            ),
            slide(
                "max_pool_padded",
                "A maximum is padded with −∞, which never wins; zeros would beat negative numbers.",
                '"max_pool", (5, 5), (3, 3), strides=2, padding=1, step=0, numbers=True',
                "out[i, j] = max over a, b of x[i*s + a - p, j*s + b - p]",
            ),
            slide(
                "avg_pool",
                "The average of three neighbours. At the ends the padding's zeros count in the "
                "divisor, unless count_include_pad is False.",
                '"avg_pool", (7,), (3,), strides=2, padding=1, step=0, numbers=True',
                "out[i] = (sum over a of x[i*s + a - p]) / k",
            ),
            slide(
                "pool_dilation",
                "Pools can be dilated as well.",
                '"min_pool", (5, 5), (2, 2), kernel_dilation=3, step=0, numbers=True',
                "out[i, j] = min over a, b of x[i*s + a*d, j*s + b*d]",
            ),
            slide(
                "ceil_mode",
                "Rounding up: the last window hangs over the end, and what lies there is not "
                "counted.",
                '"avg_pool", (6,), (3,), strides=2, ceil_mode=True, step=0, numbers=True',
                "out = ceil((n - k) / s) + 1",
            ),
        ),
    ),
    Section(
        "Transposed convolution",
        "To make images larger, a network can run a convolution the other way: from the shape of "
        "its output back to that of its input. The matrix is the transpose.",
        (
            slide(
                "conv_transpose",
                "Strides of 2 move the pixels apart; then a kernel slides by one cell over pixels, "
                "the zeros between them and the padding.",
                '"conv_transpose", (3, 3), (3, 3), strides=2, padding=1, step=0, numbers=True',
                "out = (n - 1)*s + k - 2*p = (3 - 1)*2 + 3 - 2 = 5",
            ),
            slide(
                "output_padding",
                "A convolution with strides of 2 takes 5 and 6 pixels to the same 3, so the way "
                "back is not unique: output_padding adds the row and the column.",
                '"conv_transpose", (3, 3), (3, 3), strides=2, padding=1, output_padding=1, step=0, '
                "numbers=True",
                "out = (n - 1)*s + k - 2*p + output_padding = 6",
            ),
            Picture(
                "matrix_transposed",
                "The matrix of a convolution with strides of 2 from 5 cells to 2, transposed: each "
                "column lays the kernel on the output, two cells further.",
                "visualize.conv_matrix([1, 2, 3], (5,), strides=2, transposed=True)",
                "out = Wᵀ y",
            ),
            Picture(
                "checkerboard",
                "A kernel of 3 with strides of 2 writes onto some output cells four times and onto "
                "others once: what it paints has the pattern of a checkerboard.",
                "visualize.overlap_counts((5, 5), (3, 3), strides=2)",
                "count[t] = number of i, a with i*s + a = t",
            ),
            Picture(
                "no_checkerboard",
                "A kernel size that is a multiple of the strides covers the inside evenly.",
                "visualize.overlap_counts((5, 5), (4, 4), strides=2)",
                "k = 2*s: every inner cell is written k/s times along each axis",
            ),
        ),
    ),
    Section(
        "Backpropagation",
        "Learning needs to know how the loss changes with every number that went in. Each layer is "
        "handed the gradient of its output and computes that of its input.",
        (
            slide(
                "conv_gradient",
                "The gradient of a pixel gathers from every output that saw it: a full convolution "
                "of the output's gradient with the kernel turned round.",
                "(4, 4), (3, 3), step=0, numbers=True",
                "dL/dx[u, v] = sum over a, b of dL/dout[u - a, v - b] * kernel[a, b]",
                function="conv_gradient",
            ),
            slide(
                "conv_gradient_stride",
                "With strides the output's gradient is moved apart first: the backward pass of a "
                "convolution is a transposed convolution.",
                "(5, 5), (3, 3), strides=2, step=0, numbers=True",
                "dL/dx[u] = sum over a with u = i*s + a of dL/dout[i] * kernel[a]",
                function="conv_gradient",
            ),
            Picture(
                "max_route",
                "A max pool hands each gradient to the one cell that won (boxed in the input).",
                'visualize.pool_gradient("max_pool", [[8, 6, 5, 2], [3, 0, 1, 0], [1, 7, 6, 9], '
                "[5, 6, 2, 4]], (2, 2), 2)",
                "dL/dx[u] = sum of dL/dout[i] over the windows i that u won",
            ),
            Picture(
                "max_route_overlap",
                "Windows that overlap may have the same winner: it takes the sum. Of equal numbers "
                "the first wins.",
                'visualize.pool_gradient("max_pool", [1, 3, 3, 2, 5, 1], (3,), padding=1)',
                "1 + 2 + 3 = 6 and 4 + 5 + 6 = 15",
            ),
            Picture(
                "avg_route",
                "An average spreads each gradient evenly over its window.",
                'visualize.pool_gradient("avg_pool", [[8, 6, 5, 2], [3, 0, 1, 0], [1, 7, 6, 9], '
                "[5, 6, 2, 4]], (2, 2), 2, cotangent=[[4, 8], [2, -4]])",
                "dL/dx[u] = sum over windows i with u of dL/dout[i] / (k*k)",
            ),
        ),
    ),
    Section(
        "Receptive fields",
        "A unit deep in the network sees a patch of the image: its receptive field. Every layer "
        "widens it. What lies in the middle counts more, because more paths lead from there. In "
        "the calls, ones is a 3×3 kernel of ones, and noise a few random images.",
        (
            Picture(
                "field_two",
                "Two 3×3 convolutions see 5×5 pixels, those inside the dashed box, and the middle "
                "most of all.",
                "visualize.receptive_field(lambda x: F.conv(F.conv(x, ones), ones), noise, "
                'title="Two layers")',
                "r = 1 + sum over layers of (k - 1) * (product of the strides before)",
            ),
            Picture(
                "field_dilated",
                "Dilations of 1, 2 and 4 see 15×15 with three layers of nine weights; without "
                "dilation it would be 7×7. The steps of the dilation show as a grid.",
                "visualize.receptive_field(lambda x: F.conv(F.conv(F.conv(x, ones), ones, "
                "kernel_dilation=2), ones, kernel_dilation=4), noise, "
                'title="Dilations 1, 2, 4")',
                "r = 1 + 2*1 + 2*2 + 2*4 = 15",
            ),
        ),
    ),
)
