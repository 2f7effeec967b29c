"""The compile cache of the experiments: kept, bounded, never in the way."""

import dataclasses
import os
import resource

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from experiments.commands import cache, command

SETTINGS = ("jax_compilation_cache_dir", "jax_enable_compilation_cache", *cache.SETTINGS)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the cache would lie; JAX's settings are afterwards as before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(cache.SWITCH)
    monkeypatch.setitem(cache.SETTINGS, "jax_persistent_cache_min_compile_time_secs", 0.0)
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    jax.config.update("jax_enable_compilation_cache", True)  # whatever ran in this process before
    compilation_cache.reset_cache()
    yield cache.folder()
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def computed():
    """What a program gives that is compiled anew, or found, each time; and whether it was found."""
    found = []
    listener = lambda event, **_: found.append(event == "/jax/compilation_cache/cache_hits")  # noqa: E731
    jax.clear_caches()
    compilation_cache.reset_cache()
    jax.monitoring.register_event_listener(listener)
    try:
        values = jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x))(np.arange(9.0).reshape(3, 3))
    finally:
        jax.monitoring.unregister_event_listener(listener)
    return np.asarray(values).tobytes(), any(found)


def test_what_one_program_compiles_the_next_finds(place, capsys):
    plain, _ = computed()
    cache.turn_on()
    assert computed() == (plain, False)
    assert computed() == (plain, True)
    assert jax.config.jax_compilation_cache_max_size == 2**29
    assert place.stat().st_mode & 0o777 == 0o700
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[::-1]])
def test_damage_costs_one_line(place, capsys, damage):
    cache.turn_on()
    expected, _ = computed()
    entries = list(place.glob("*-cache"))
    for entry in entries:
        entry.write_bytes(damage(entry.read_bytes()))
    assert entries and computed() == (expected, False)
    out, errors = capsys.readouterr()
    assert errors.startswith(f"compile cache: an entry in {place} was damaged, all were removed (")
    assert errors.count("\n") == 1 and not out
    assert computed() == (expected, True)  # kept anew


def test_an_entry_cut_short_by_a_kill_goes(place):
    place.mkdir(parents=True)
    (place / "whole-cache").touch()
    (place / "whole-atime").touch()
    (place / "half-cache").touch()
    cache.turn_on()
    assert {path.name for path in place.glob("*-*")} == {"whole-cache", "whole-atime"}


def test_a_folder_that_is_a_file_costs_one_line(place, capsys):
    place.parent.mkdir(parents=True)
    place.touch()
    cache.turn_on()
    assert computed()[1] is False
    errors = capsys.readouterr().err
    assert (
        errors == f"compile cache: {place} cannot be used (File exists); compiling anew this time\n"
    )


def test_a_full_disk_costs_one_line(place, capsys):
    cache.turn_on()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        computed()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    errors = capsys.readouterr().err
    assert errors.startswith(f"compile cache: {place} cannot be used (") and errors.count("\n") == 1


@pytest.mark.parametrize("setting", ["switch", "folder", "jax"])
def test_off_where_somebody_says_so(place, monkeypatch, setting):
    if setting == "switch":
        monkeypatch.setenv(cache.SWITCH, "0")
    elif setting == "jax":
        jax.config.update("jax_enable_compilation_cache", False)
    else:
        jax.config.update("jax_compilation_cache_dir", str(place.parent / "own"))
    cache.turn_on()
    own = str(place.parent / "own") if setting == "folder" else None
    assert jax.config.jax_compilation_cache_dir == own and not place.exists()


@dataclasses.dataclass(frozen=True)
class Nothing:
    """No options."""


def test_commands_turn_it_on_and_those_that_measure_compiling_do_not(monkeypatch):
    turned = []
    monkeypatch.setattr(cache, "turn_on", lambda: turned.append(True))
    commands = {"look": (Nothing, lambda options: None)}
    for cached in (True, False):
        assert command.run("program", commands, [], cached=cached) == 0
    assert turned == [True]


def test_the_suite_leaves_the_users_alone():
    assert os.environ[cache.SWITCH] == "0"
