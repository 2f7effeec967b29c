"""Data sources from tensorflow-datasets: what is prepared on the disk, read without TensorFlow."""

import contextlib
import importlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.command import UserError, extra

# Data sets prepared by this project from installed packages: name -> module of the builder.
_OWN_BUILDERS = {"mnist5k": "experiments.data.mnist5k"}


def from_tfds(name: str, split: str, data_dir: Path | str) -> Sequence[dict]:
    """Opens a split of a TFDS data set that lies prepared, as array_record, in `data_dir`.

    Data sets of this project are prepared when they are absent. No network is tried, ever: for the
    others the error says how to get them.

    Args:
      name: `name`, `name/config` or `name:version`, as for `tfds.builder`.
      split: name of the split, for example "train".
      data_dir: folder of all data sets, `<data_dir>/<name>/<version>/`; "~" is the home folder.
    Returns:
      A random-access sequence of examples. Images are left encoded (bytes), because decoders
      disagree on colour modes; `load_arrays` decodes them.
    Raises:
      UserError: the data set is unknown, not prepared, prepared in another file format or damaged.
    """
    data_dir = Path(data_dir).expanduser()
    tfds = _import_tfds()
    base_name = name.partition("/")[0].partition(":")[0]
    if base_name in _OWN_BUILDERS:
        importlib.import_module(_OWN_BUILDERS[base_name])  # registers the builder by its name
    builder = _find_builder(tfds, name, data_dir / base_name)
    folder = Path(builder.data_path)
    if not folder.exists():
        if base_name not in _OWN_BUILDERS:
            raise UserError(_how_to_get(name, folder, data_dir))
        _prepare(builder, folder)
    if not (folder / "dataset_info.json").is_file():
        raise damaged(folder, "dataset_info.json is missing")
    with _silence(), _explain_damage(folder):
        file_format = builder.info.file_format.value
        if file_format != "array_record":
            raise UserError(
                f"{folder} is prepared as {file_format}, which needs TensorFlow to be "
                "read; prepare it again with file_format='array_record'"
            )
        if split not in builder.info.splits:
            raise UserError(
                f"from_tfds: `split` (={split!r}) must be one of {sorted(builder.info.splits)}"
            )
        return builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})


def damaged(folder: Path, reason: object) -> UserError:
    """The error for a prepared data set that is there but cannot be read."""
    return UserError(
        f"the data set in {folder} is damaged ({_first_line(reason)}); delete that folder and "
        "prepare it again (mnist5k is prepared again by the next run)"
    )


def _import_tfds():
    with extra("experiments"):
        import tensorflow_datasets as tfds
    if not hasattr(tfds, "builder"):  # what an old protobuf leaves of it
        raise UserError(
            "tensorflow-datasets is unusable with the installed protobuf; "
            "get a newer one with: pip install 'protobuf>=6.31.1'"
        )
    return tfds


def _find_builder(tfds, name: str, folder: Path):
    with _silence():
        try:
            return tfds.builder(name, data_dir=folder.parent)
        except tfds.core.registered.DatasetNotFoundError:
            raise UserError(
                f"from_tfds: `name` (={name!r}) must be a data set of tensorflow-datasets or one "
                f"of {sorted(_OWN_BUILDERS)}"
            ) from None
        except Exception as error:  # of many types: it reads dataset_info.json as well
            raise UserError(
                f"cannot open the data set {name} in {folder} "
                f"({_first_line(error.__cause__ or error)}); correct the name, or delete that "
                "folder if its files are damaged (mnist5k is prepared again by the next run)"
            ) from error


def _prepare(builder, folder: Path) -> None:
    """Writes the files into a temporary folder, which TFDS renames when it is whole."""
    try:
        with _silence():
            builder.download_and_prepare(file_format="array_record")
    except OSError as error:
        if not folder.exists():  # else another process was faster
            raise UserError(
                f"cannot prepare {builder.name} in {folder} ({error.strerror or error}); "
                "choose a folder that can be written with --data-dir"
            ) from None


def _how_to_get(name: str, folder: Path, data_dir: Path) -> str:
    return (
        f"the data set {name} is not prepared in {folder}. On a machine with a network and "
        f"TensorFlow run: tfds build {name} --file_format=array_record --data_dir={data_dir}; "
        f"then copy {folder} to this machine"
    )


@contextlib.contextmanager
def _explain_damage(folder: Path) -> Iterator[None]:
    """TFDS, protobuf and array_record raise errors of many types for a broken file."""
    try:
        yield
    except (UserError, ImportError):
        raise
    except Exception as error:
        raise damaged(folder, error) from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps TFDS's progress bars and prints out of an experiment's output."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _first_line(reason: object) -> str:
    return str(reason).strip().partition("\n")[0] or type(reason).__name__
