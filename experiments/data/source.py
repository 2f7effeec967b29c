"""Data sources from tensorflow-datasets: what is prepared on the disk, read without TensorFlow."""

import contextlib
import importlib
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from experiments.commands import stopping
from experiments.commands.command import UserError, nearest
from experiments.data.absent import prepare_stock
from experiments.data.library import import_tfds, silence, tidy
from experiments.data.prepared import check_files, check_split
from experiments.data.split import AGAIN, damaged, first_line

DATA_DIR = Path("~/.cache/jaxcnn")
"""Where the data sets lie unless told otherwise."""

# Data sets prepared by this project, without a network: name -> module of the builder.
OWN_BUILDERS = {
    "digits8x8": "experiments.data.digits8x8",
    "mnist5k": "experiments.data.mnist5k",
    "scenes": "experiments.data.scenes",
    "signals": "experiments.data.signals",
}


# TFDS takes more: options in Python's syntax, and "huggingface:" and the like before the name,
# which fetch programs. A name may come from the run folder of a stranger.
_NAME = re.compile(r"\w{1,99}(/[\w.-]{1,99})?(:[\d.*]{1,99})?", re.ASCII)


def open_builder(
    name: str,
    data_dir: Path | str,
    say: Callable[[str], object] = lambda text: None,
    suits: Callable = lambda builder: None,
):
    """Opens what TFDS knows of a data set whose files are there, and whole as far as one can see.

    This project's own data sets are prepared when they are absent. The others are where TensorFlow
    is installed and the archives, or a network, are there; else the error says how to get them.

    Args:
      name: `name`, `name/config` or `name:version`, as for `tfds.builder`.
      data_dir: folder of all data sets, `<data_dir>/<name>/<version>/`; "~" is the home folder.
      say: is told when something is prepared, which takes a while.
      suits: raises unless the builder is of use, before anything is fetched or prepared for it.
    Returns:
      The builder.
    Raises:
      UserError: the data set is unknown, not prepared, prepared in another file format or damaged.
    """
    data_dir = Path(data_dir).expanduser()
    tfds = import_tfds()
    builder = find_builder(tfds, name, data_dir)
    folder = Path(builder.data_path)
    if not folder.exists():
        suits(builder)
        if builder.name in OWN_BUILDERS:
            _prepare_own(builder, folder)
        else:
            prepare_stock(builder, name, data_dir, say)
    if not (folder / "dataset_info.json").is_file():
        raise damaged(folder, "dataset_info.json is missing")
    with silence(), _explain_damage(folder):
        file_format = builder.info.file_format.value
        splits = sorted(builder.info.splits)
    if file_format != "array_record":
        raise UserError(
            f"{folder} is prepared as {file_format}, which needs TensorFlow to be "
            "read; prepare it again with file_format='array_record'"
        )
    if not splits:
        raise damaged(folder, "dataset_info.json lists no splits")
    return builder


def open_split(builder, split: str) -> Sequence[dict]:
    """Examples of a split of `open_builder`'s, by number.

    Images and masks are left encoded (bytes), because decoders disagree on colour modes.
    """
    tfds = import_tfds()
    folder = Path(builder.data_path)
    with silence(), _explain_damage(folder):
        check_split(folder, builder.info.splits[split])
        images = [
            key
            for key, feature in builder.info.features.items()
            if isinstance(feature, tfds.features.Image)
        ]
        decoders = {key: tfds.decode.SkipDecoding() for key in images}
        return builder.as_data_source(split, decoders=decoders)


def find_builder(tfds, name: str, data_dir: Path):
    """The builder of that name, whether its files are there or not."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"cannot open the data set {name[:80]} in {data_dir} (it is no name, name/config or "
            "name:version); correct the name"
        )
    base_name = name.partition("/")[0].partition(":")[0]
    folder = data_dir / base_name
    with _explain_damage(folder):
        check_files(folder)
    if base_name in OWN_BUILDERS:
        importlib.import_module(OWN_BUILDERS[base_name])  # registers the builder by its name
    with silence(), tidy():
        try:
            return tfds.builder(name, data_dir=data_dir)
        except tfds.core.registered.DatasetNotFoundError:
            known = [*OWN_BUILDERS, *tfds.list_builders(with_community_datasets=False)]
            raise UserError(
                f"the data set {name} is unknown{nearest(name, known)}; it must be one of "
                f"{', '.join(sorted(OWN_BUILDERS))}, or one of tensorflow-datasets"
            ) from None
        except Exception as error:  # of many types: it reads dataset_info.json as well
            reason = error.__cause__ or error
            fix = f"correct the name, or {AGAIN}" if folder.exists() else "correct the name"
            if isinstance(reason, ModuleNotFoundError):
                fix = f"install {reason.name}, which it needs"
            raise UserError(
                f"cannot open the data set {name} in {folder} ({first_line(reason)}); {fix}"
            ) from error


def _prepare_own(builder, folder: Path) -> None:
    """Writes the files into a temporary folder, which TFDS renames when it is whole."""

    def clear() -> None:
        for path in folder.parent.glob(f"incomplete.*_{folder.name}"):
            shutil.rmtree(path, ignore_errors=True)

    try:
        with silence(), stopping.undoing(clear):
            builder.download_and_prepare(file_format="array_record")
    except OSError as error:
        if not folder.exists():  # else another process was faster
            raise UserError(
                f"cannot prepare {builder.name} in {folder} ({error.strerror or error}); "
                "choose a folder that can be written with --data-dir"
            ) from None


@contextlib.contextmanager
def _explain_damage(folder: Path) -> Iterator[None]:
    """TFDS, protobuf and array_record raise errors of many types for a broken file."""
    try:
        yield
    except (UserError, ImportError):
        raise
    except Exception as error:
        raise damaged(folder, error) from error
