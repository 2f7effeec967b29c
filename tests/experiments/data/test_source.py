"""Opening prepared data sets, and what is said when they cannot be opened."""

import shutil
import socket
import tempfile

import pytest

from experiments.commands.command import UserError
from experiments.data import load

pytestmark = pytest.mark.usefixtures("plain_jax")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Every try to reach a network fails the test."""

    def refuse(*args, **kwargs):
        pytest.fail("the network was tried")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def copied(data_dir, tmp_path):
    """A copy of the prepared data set that may be broken: the data folder and the version's."""
    shutil.copytree(data_dir / "mnist5k", tmp_path / "mnist5k")
    (version,) = (tmp_path / "mnist5k").iterdir()
    return tmp_path, version


def test_prepares_without_network_prints_or_leftovers(tmp_path, capfd, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    assert len(load("mnist5k", data_dir=tmp_path).train) == 4000
    assert capfd.readouterr().out == ""
    names = {path.name for path in (tmp_path / "mnist5k" / "1.0.0").iterdir()}
    assert "mnist5k-test.array_record-00000-of-00001" in names
    assert [path.name for path in (tmp_path / "mnist5k").iterdir()] == ["1.0.0"]
    assert not list(temporary.iterdir()) and tempfile.gettempdir() == str(temporary)


def test_images_are_left_encoded(data_dir):
    image, _ = load("mnist5k", data_dir=data_dir).test.encoded(0)
    assert image.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nonsense", "the data set nonsense is unknown; it must be one of .*mnist5k, "),
        ("mnist5k:9.9.9", "cannot open the data set mnist5k:9.9.9 .*correct the name"),
    ],
)
def test_wrong_names(data_dir, name, message):
    with pytest.raises(UserError, match=message):
        load(name, data_dir=data_dir)


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot prepare mnist5k .*--data-dir"):
        load("mnist5k", data_dir=tmp_path / "file")


def test_other_file_format(copied):
    folder, version = copied
    info = version / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(UserError, match="prepared as tfrecord, which needs TensorFlow"):
        load("mnist5k", data_dir=folder)


def test_what_the_message_about_damage_says_helps(copied):
    folder, version = copied
    path = version / "dataset_info.json"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"mnist5k.* delete that folder.*prepare it again"):
        load("mnist5k", data_dir=folder)
    shutil.rmtree(folder / "mnist5k")
    assert len(load("mnist5k", data_dir=folder).test) == 1000
