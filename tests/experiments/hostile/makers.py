"""What makes hostile files: each function is told what to make, and returns what makes it.

A maker is given a folder where something whole lies: `run`, a run folder with one checkpoint;
`data`, a prepared data set; `weights`; and `outside`, which is nobody's to touch. All that is made
is the same every time; pickles would make the folder `outside/unpickled`.
"""

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorstore
from PIL import Image
from safetensors.numpy import load_file, save_file

STEP = "run/checkpoints/7"
SET = "data/digits8x8/1.0.0"
TEST = f"{SET}/digits8x8-test.array_record-00000-of-00001"
WEIGHTS = "weights/small.safetensors"
TABLE = "table.csv.gz"
DEEP = b"[" * 200_000
LARGE = 3 * 2**30  # bytes that a file claims, most of them a hole that takes no place on the disk
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) run\n"
ZEROS = zlib.compress(bytes(2**26), 1)  # 64 MiB in some 300 KiB


class Payload:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: Path):
        self._marker = str(folder / "outside" / "unpickled")

    def __reduce__(self):
        return os.mkdir, (self._marker,)


def clear(path: Path) -> Path:
    """The path, with nothing there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return path


def put(name: str, content: bytes | str):
    """Other content."""
    content = content.encode() if isinstance(content, str) else content
    return lambda folder: clear(folder / name).write_bytes(content)


def cut(name: str, share: float = 0.5):
    """Only the first part of the file."""

    def make(folder: Path):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])

    return make


def hole(name: str, start: bytes = b""):
    """A file of 3 GiB."""

    def make(folder: Path):
        clear(folder / name).write_bytes(start)
        os.truncate(folder / name, LARGE)

    return make


def queue(name: str):
    """A queue that nobody writes to."""
    return lambda folder: os.mkfifo(clear(folder / name))


def link(name: str, target: str):
    """A link, to something in `outside` unless the target is an absolute path."""
    return lambda folder: clear(folder / name).symlink_to(folder / "outside" / target)


def directory(name: str):
    """A folder in place of the file."""
    return lambda folder: clear(folder / name).mkdir()


def pickled(name: str):
    """A pickle under that name."""
    return lambda folder: clear(folder / name).write_bytes(pickle.dumps(Payload(folder)))


def zipped_pickle(name: str):
    """What `torch.save` and object arrays of `numpy.savez` look like."""

    def make(folder: Path):
        with zipfile.ZipFile(clear(folder / name), "w") as file:
            file.writestr("archive/data.pkl", pickle.dumps(Payload(folder)))

    return make


def change(name: str, edit: Callable):
    """A JSON file edited; `edit` is given the value and changes it."""

    def make(folder: Path):
        value = json.loads((folder / name).read_text())
        edit(value)
        (folder / name).write_text(json.dumps(value))

    return make


def config(**values):
    """Other options."""
    return change("run/config.json", lambda saved: saved.update(values))


def replace(name: str, old: str, new: str):
    """Other text."""
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(old, new))


def splits(**values):
    """Other splits in dataset_info.json."""
    return change(
        f"{SET}/dataset_info.json", lambda info: [each.update(values) for each in info["splits"]]
    )


def stored(**values):
    """A checkpoint whose array says other things of itself in the files of tensorstore."""

    def make(folder: Path):
        spec = {"driver": "ocdbt", "base": f"file://{folder / STEP}/model/"}
        store, key = tensorstore.KvStore.open(spec).result(), b"params.kernel/.zarray"
        described = json.loads(store.read(key).result().value)
        store.write(key, json.dumps({**described, **values}).encode()).result()

    return make


def header(described: object, *, claimed: int | None = None, body: int = 0) -> bytes:
    """A safetensors file, with zeros behind its header."""
    text = described if isinstance(described, bytes) else json.dumps(described).encode()
    length = len(text) if claimed is None else claimed
    return length.to_bytes(8, "little") + text + bytes(body)


def entry(dtype: str, shape: list[int], end: int, start: int = 0) -> dict:
    """What a safetensors header says of an array."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def arrays(edit: Callable[[dict], object]):
    """Weights that are whole, and of another network."""

    def make(folder: Path):
        held = dict(load_file(folder / WEIGHTS))
        edit(held)
        save_file(held, folder / WEIGHTS)

    return make


def large_stranger(folder: Path):
    """All that is wanted, and an array of 3 GiB beside it."""
    content = (folder / WEIGHTS).read_bytes()
    length = int.from_bytes(content[:8], "little")
    described, end = json.loads(content[8 : 8 + length]), len(content) - 8 - length
    described["stranger"] = entry("U8", [LARGE], end + LARGE, end)
    (folder / WEIGHTS).write_bytes(header(described) + content[8 + length :])
    os.truncate(folder / WEIGHTS, len(header(described)) + end + LARGE)


def chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG file."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG file of a few bytes that claims any size."""
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    end = chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + start + b"".join(chunks) + end


def image(kind: str, size: tuple[int, int] = (8, 8)) -> bytes:
    """An image file that is whole."""
    file = io.BytesIO()
    Image.fromarray(np.arange(np.prod(size), dtype=np.uint8).reshape(size[::-1])).save(file, kind)
    return file.getvalue()
