"""A stock data set that is not on the disk: prepared if that can be done, else said how to get it.

TFDS would try the network for minutes and leave half-made folders. So we look before we ask: is
TensorFlow there, which the stock builders need; do the archives lie in the folder for archives that
were fetched by hand; does the network answer?
"""

import contextlib
import importlib.util
import socket
import threading
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from experiments.commands.command import UserError, install
from experiments.data.library import silence
from experiments.data.split import first_line

_PATIENCE = 1.0  # seconds for the network to answer


def prepare_stock(builder, name: str, data_dir: Path, say: Callable[[str], object]) -> None:
    """Prepares the files, or says within two seconds why it cannot and what to do.

    Args:
      builder: of TFDS, its files being absent.
      name: what the user typed.
      data_dir: folder of all data sets.
      say: is told before something is downloaded or prepared.
    Raises:
      UserError: TensorFlow is absent, or the archives are and cannot be fetched; or preparing
        failed.
    """
    archives = wanted_archives(builder)
    lacking = [file for file in archives if not (manual_folder(data_dir) / file).exists()]
    if importlib.util.find_spec("tensorflow") is None:
        reason = "TensorFlow, which prepares it, is not installed here"
    elif lacking and builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        reason = f"its archives must be fetched by hand ({', '.join(lacking)})"
    elif lacking and not answers(archives[lacking[0]]):
        reason = f"there is no network here and no {', '.join(lacking)}"
    else:
        what = "downloading and preparing" if lacking else "preparing"
        say(f"{what} {name} in {builder.data_path}, once; this can take long")
        _prepare(builder, name, data_dir)
        return
    raise UserError(how_to_get(builder, name, data_dir, archives, reason))


def how_to_get(builder, name: str, data_dir: Path, archives: dict, reason: str) -> str:
    """The one message about an absent data set."""
    folder = builder.data_path
    command = f"tfds build {name} --file_format=array_record --data_dir={data_dir}"
    files = ", ".join(archives) or "the original archives"
    return (
        f"the data set {name} is not prepared in {folder}, and {reason}. On a machine with a "
        f"network and TensorFlow ({install('prepare')}) run: {command}; then copy "
        f"{folder} to this machine. Or put {files}, names unchanged, in {manual_folder(data_dir)} "
        "and run the same command without a network"
    )


def manual_folder(data_dir: Path) -> Path:
    """Where TFDS looks for archives that somebody put there."""
    return data_dir / "downloads" / "manual"


def wanted_archives(builder) -> dict[str, str]:
    """File name -> address of the archives that this version and configuration is made from."""
    known = {url: info.filename for url, info in builder.url_infos.items()}
    asked = _Asked()
    try:
        with silence():
            builder._split_generators(asked)
    except Exception:  # it goes on with paths that are not there
        pass
    names = {known.get(url) or Path(urllib.parse.urlsplit(url).path).name: url for url in asked}
    return names or {(file or Path(url).name): url for url, file in known.items()}


def answers(url: str) -> bool:
    """Whether the address's name resolves and its machine accepts a connection, in a second."""
    address = urllib.parse.urlsplit(url)
    port = address.port or (80 if address.scheme == "http" else 443)
    result: list[bool] = []

    def ask():
        try:
            socket.create_connection((address.hostname, port), timeout=_PATIENCE).close()
            result.append(True)
        except OSError:
            pass

    # Resolving a name cannot be told to give up, so that a thread is left behind to do it.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return bool(result)


class _Asked(list):
    """Stands in for TFDS's download manager: notes the addresses and brings nothing."""

    def download(self, urls):
        self._note(urls)
        raise FileNotFoundError

    download_and_extract = download

    def _note(self, urls) -> None:
        if isinstance(urls, dict):
            urls = list(urls.values())
        if isinstance(urls, (list, tuple)):
            for each in urls:
                self._note(each)
        else:
            self.append(getattr(urls, "url", urls))


def _prepare(builder, name: str, data_dir: Path) -> None:
    with contextlib.suppress(ImportError):
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")  # it would take all of the memory from JAX
    try:
        with silence():
            builder.download_and_prepare(file_format="array_record")
    except Exception as error:  # of the network, the archives, the disk, TensorFlow
        raise UserError(
            f"cannot prepare {name} in {builder.data_path} ({type(error).__name__}: "
            f"{first_line(error)}); mend that, or put the archives in {manual_folder(data_dir)}"
        ) from error
