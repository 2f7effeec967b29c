"""tensorflow-datasets itself: imported, and kept from talking and littering."""

import contextlib
import io
import tempfile
from collections.abc import Iterator

from experiments.commands import stopping
from experiments.commands.command import UserError, extra


def import_tfds():
    """The package, or the message that says what to install."""
    with extra("experiments"):
        import tensorflow_datasets as tfds
    if not hasattr(tfds, "builder"):  # what an old protobuf leaves of it
        raise UserError(
            "tensorflow-datasets is unusable with the installed protobuf; "
            "get a newer one with: pip install 'protobuf>=6.31.1'"
        )
    return tfds


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keeps TFDS's progress bars and prints out of an experiment's output."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def tidy() -> Iterator[None]:
    """Removes the temporary folder that TFDS leaves for each builder that is not prepared."""
    before = tempfile.tempdir
    with stopping.temporary_folder() as folder:
        tempfile.tempdir = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before
