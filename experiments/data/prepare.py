"""A file of a user's in the form that a trained network takes."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from experiments.commands import files
from experiments.commands.command import UserError
from experiments.data.crops import middle_crop
from experiments.data.decoding import open_image, readable, to_array
from experiments.data.digits import look_at

_MOST_BYTES = 2**26
_ZERO, _UNIT = 128, 127  # the bytes of a signal's 0 and of what 1 adds to it


def prepare(path: Path, form: str, shape: tuple[int, ...]) -> tuple[np.ndarray, list[str]]:
    """Reads a file.

    Args:
      path: an image that Pillow reads, or for signals .npy, or text with commas.
      form: "digit", brought into MNIST's form; "image", the middle of it; "signal", as it is.
      shape: `(height, width, channels)` or `(length, channels)`.
    Returns:
      Bytes of that shape, and why it may be of something else than the network has learned.
    Raises:
      UserError: the file cannot be read, or holds a signal of another length.
    """
    if form == "digit":
        return look_at(path)
    try:
        content = files.read(path, _MOST_BYTES)
        if form == "signal":
            return _signal(path, content, shape), []
        with open_image(content, formats=readable()) as image:
            upright = ImageOps.exif_transpose(image)
            upright = upright.convert("L" if shape[-1] == 1 else "RGB")
            if upright.size != (shape[1], shape[0]):
                upright, _ = middle_crop(upright, None, (shape[0], shape[1]))
            return to_array(upright), []
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UserError:
        raise
    except Image.UnidentifiedImageError:
        raise UserError(f"{path}: no image that Pillow reads; convert it to PNG or JPEG") from None
    except Exception as error:  # of many types, Pillow's and NumPy's
        raise UserError(f"{path}: cannot be read ({error}); save it anew") from None


def _signal(path: Path, content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Bytes as they are, other numbers as -1 to 1."""
    if content.startswith(b"\x93NUMPY"):
        signal = np.load(io.BytesIO(content), allow_pickle=False)
    else:
        signal = np.loadtxt(io.BytesIO(content), delimiter=",", ndmin=1)
    if signal.size == shape[0] * shape[1] and shape[1] == 1:
        signal = signal.reshape(shape)  # a row or a column
    if signal.shape != shape:
        raise UserError(f"{path}: must be a signal of shape {shape}; received {signal.shape}")
    if signal.dtype == np.uint8:
        return signal
    if not np.all(np.abs(signal) <= 1):  # NaN neither
        raise UserError(f"{path}: a signal must be of numbers from -1 to 1, or of bytes; scale it")
    return np.rint(_ZERO + _UNIT * signal).clip(0, 255).astype(np.uint8)
