"""Stock data sets that are not there: no hang, and one message that says how to get them."""

import importlib.util
import socket
import threading
import time

import pytest
import tensorflow_datasets as tfds

from experiments.commands.command import UserError
from experiments.data import absent, load

WANTED = {
    "mnist": "train-images-idx3-ubyte.gz",
    "fashion_mnist": "train-images-idx3-ubyte.gz",
    "emnist": "gzip.zip",
    "cifar10": "cifar-10-binary.tar.gz",
    "cifar100": "cifar-100-binary.tar.gz",
    "svhn_cropped": "train_32x32.mat",
    "imagenette": "imagenette2.tgz",
    "imagenet2012": "ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar",
    "oxford_iiit_pet": "images.tar.gz, annotations.tar.gz",
    "emnist/letters": "gzip.zip",
}


@pytest.fixture(autouse=True)
def network(monkeypatch):
    """No network; tries to reach it are counted."""
    tries = []

    def refuse(*args, **kwargs):
        tries.append(args)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tries


@pytest.fixture
def tensorflow(monkeypatch):
    """As if TensorFlow were installed; what would be prepared is listed instead."""
    prepared, find = [], importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: name == "tensorflow" or find(name)
    )

    def prepare(self, **options):
        prepared.append((self.name, options))

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", prepare)
    return prepared


@pytest.fixture
def cifar10(tmp_path):
    """A builder whose files are absent."""
    return tfds.builder("cifar10", data_dir=tmp_path)


def put_archive(tmp_path):
    folder = tmp_path / "downloads" / "manual"
    folder.mkdir(parents=True)
    (folder / "cifar-10-binary.tar.gz").write_bytes(b"")


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="has TensorFlow")
@pytest.mark.parametrize("name", WANTED)
def test_every_wanted_name_says_how_to_get_it(name, tmp_path, network):
    start = time.perf_counter()
    message = (
        rf"data set {name} is not prepared in {tmp_path}/{name.partition('/')[0]}/.* TensorFlow.* "
        rf"not installed.* run: tfds build {name} --file_format=array_record "
        rf"--data_dir={tmp_path}; then copy .* Or put .*{WANTED[name]}.*downloads/manual"
    )
    with pytest.raises(UserError, match=message):
        load(name, data_dir=tmp_path)
    assert time.perf_counter() - start < 2
    assert not network and not list(tmp_path.iterdir())


def test_no_network_and_no_archive(tmp_path, tensorflow, network, cifar10):
    with pytest.raises(UserError, match="no network here and no cifar-10-binary.tar.gz"):
        absent.prepare_stock(cifar10, "cifar10", tmp_path, print)
    assert network and not tensorflow


def test_a_network_that_does_not_answer_is_not_waited_for(
    tmp_path, tensorflow, monkeypatch, cifar10
):
    given_up = threading.Event()

    def hang(*args, **options):
        given_up.wait(30)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.perf_counter()
    with pytest.raises(UserError, match="no network here"):
        absent.prepare_stock(cifar10, "cifar10", tmp_path, print)
    assert time.perf_counter() - start < 2
    given_up.set()


def test_archives_by_hand(tmp_path, tensorflow, network, cifar10, capsys):
    put_archive(tmp_path)
    with pytest.raises(UserError, match="damaged"):  # nothing was prepared in earnest
        load("cifar10", data_dir=tmp_path)
    assert tensorflow == [("cifar10", {"file_format": "array_record"})] and not network
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and said[0].startswith("preparing cifar10 in")


def test_downloaded_where_the_network_answers(tmp_path, tensorflow, monkeypatch, cifar10):
    said = []
    monkeypatch.setattr(absent, "answers", lambda url: url.startswith("https://www.cs.toronto"))
    absent.prepare_stock(cifar10, "cifar10", tmp_path, said.append)
    assert len(tensorflow) == 1 and said[0].startswith("downloading and preparing cifar10")


def test_imagenet_cannot_be_downloaded(tmp_path, tensorflow, network):
    builder = tfds.builder("imagenet2012", data_dir=tmp_path)
    with pytest.raises(UserError, match="fetched by hand .*ILSVRC2012_img_train.tar"):
        absent.prepare_stock(builder, "imagenet2012", tmp_path, print)
    assert not network and not tensorflow


def test_what_goes_wrong_while_preparing(tmp_path, tensorflow, monkeypatch, cifar10):
    def prepare(self, **options):
        raise ConnectionError("no route\nand much more")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", prepare)
    put_archive(tmp_path)
    with pytest.raises(UserError, match=r"cannot prepare cifar10 .*ConnectionError: no route\)"):
        absent.prepare_stock(cifar10, "cifar10", tmp_path, lambda text: None)


def test_answers_asks_the_right_port(monkeypatch):
    asked = []

    class Connection:
        def close(self):
            pass

    def connect(address, timeout):
        asked.append(address)
        return Connection()

    monkeypatch.setattr(socket, "create_connection", connect)
    assert absent.answers("https://some.where/file.zip")
    assert absent.answers("http://some.where/file.zip")
    assert absent.answers("http://some.where:81/file.zip")
    assert asked == [("some.where", 443), ("some.where", 80), ("some.where", 81)]
