"""How large the output of a convolution, a transposed convolution or a pool is."""

from collections.abc import Sequence

from jaxcnn import geometry
from jaxcnn._checks.naming import named
from jaxcnn.geometry import IntPerAxis, Padding


@named
def output_shape(
    input_shape: Sequence[int],
    window_shape: Sequence[int],
    *,
    strides: IntPerAxis = 1,
    padding: Padding = "VALID",
    window_dilation: IntPerAxis = 1,
    input_dilation: IntPerAxis = 1,
    ceil_mode: bool = False,
    transposed: bool = False,
    output_padding: IntPerAxis = 0,
) -> tuple[int, ...]:
    """Counts the windows along each spatial axis: the spatial sizes of an output.

        out = floor((n + p_lo + p_hi - d*(k - 1) - 1) / s) + 1              convolution, pool
        out = (n - 1)*s + d*(k - 1) + 1 - p_lo - p_hi + output_padding      transposed convolution

    A window of k pixels reaches k - 1 further than its first, and s pixels lie between one window
    and the next: over 7 pixels a window of 3 at stride 2 fits at 0, 2 and 4, three times.

    Args:
      input_shape: n, the spatial sizes of the inputs, one int per axis: no batch, no channels.
      window_shape: k, taps per axis: of a pool, or of a kernel its spatial sizes.
      strides: s, pixels between windows, per spatial axis.
      padding: any form of the function meant; negative amounts crop, as in `conv`. For a transposed
        convolution the amounts are those of the convolution being transposed, as in
        `functional.conv_transpose`, and the strings give what they give there.
      window_dilation: d, pixels between neighbouring taps (a kernel's `kernel_dilation`).
      input_dilation: pixels between neighbouring input pixels; n stands for the dilated size.
      ceil_mode: rounds up, so that a last window may hang over the end, as a pool's.
      transposed: whether it is a transposed convolution.
      output_padding: pixels added at the end of a transposed convolution's output.
    Returns:
      One size per spatial axis.
    Raises:
      ValueError: an option is out of range or makes no sense beside another, the shapes differ in
        length, or not one window fits.
      TypeError: an argument is of the wrong type.

    Example:
      >>> from jaxcnn import analysis
      >>> analysis.output_shape((7, 7), (3, 3), strides=2)
      (3, 3)
      >>> [analysis.output_shape((7,), (5,), padding=p) for p in ("VALID", "FULL", "SAME")]
      [(3,), (11,), (7,)]
      >>> analysis.output_shape((7, 7), (3, 3), strides=2, padding=1, window_dilation=(1, 2))
      (4, 3)
      >>> analysis.output_shape((3, 3), (3, 3), strides=2, padding="VALID", transposed=True)
      (7, 7)

    References:
      V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    sizes = geometry.axes_tuple("input_shape", input_shape)
    window = geometry.axes_tuple("window_shape", window_shape)
    rank = len(window)
    if len(sizes) != rank:
        raise ValueError(
            f"`input_shape` (={sizes}) must have one size for each of the {rank} axes of "
            f"`window_shape` (={window}); leave batch and channels out"
        )
    for argument, value in (("ceil_mode", ceil_mode), ("transposed", transposed)):
        if not isinstance(value, bool):
            raise TypeError(
                f"`{argument}` (={value!r}) must be True or False, got {type(value).__name__}"
            )
    dilation = geometry.per_axis("window_dilation", window_dilation, rank)
    rates = geometry.per_axis("input_dilation", input_dilation, rank)
    extra = geometry.per_axis("output_padding", output_padding, rank, minimum=0)
    if not transposed:
        if any(extra):
            raise ValueError(
                f"`output_padding` (={output_padding!r}) must be 0 unless `transposed`; "
                "write transposed=True or leave it out"
            )
        amounts, _ = geometry.fill_and_amounts(padding, "zeros", window, dilation)
        return geometry.windows(
            sizes,
            window,
            strides=strides,
            padding=amounts,
            dilation=dilation,
            input_dilation=rates,
            ceil_mode=ceil_mode,
            crop=True,
        ).output_shape
    if ceil_mode or any(rate > 1 for rate in rates):
        raise ValueError(
            f"`transposed` (=True) goes with neither `ceil_mode` (={ceil_mode}) nor "
            f"`input_dilation` (={input_dilation!r}); leave them out"
        )
    if isinstance(padding, str) and padding.upper() == "CIRCULAR":
        padding = "SAME"  # n*s as well
    return geometry.transposed_windows(
        sizes,
        window,
        strides=strides,
        padding=padding,
        dilation=dilation,
        output_padding=extra,
        crop=True,
    ).sizes
