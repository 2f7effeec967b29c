"""The bundles of a TPU's kernel are followed through its loops and jumps."""

import pytest

from experiments.compiled_for import bundles, schedules
from experiments.compiled_for.kernels import Kernel, Program
from tests.experiments.compiled_for import texts

ONE_ROUND = 16  # of the loop, with all of its bundles; one is jumped over in even rounds


def test_rounds_and_jumps_are_counted():
    assert bundles.cycles(texts.BUNDLES) == 2 + 3 * ONE_ROUND - 2 + 1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("%s12_s2, 3 }", "%s12_s2, 1 }", 2 + ONE_ROUND - 1 + 1),
        ("%s22_s4, 0 ", "%s22_s4, 5 ", 2 + 3 * ONE_ROUND + 1),
        ("(%p6_p1) target", "(!%p6_p1) target", 2 + 3 * ONE_ROUND - 1 + 1),
        ("%s22_s4, 0 ", "%s99_s9, 0 ", None),  # nobody knows what s9 is at first
        ("scmp.ge.s32", "scmp.unheard.of", None),
    ],
)
def test_other_programs(old, new, expected):
    assert old in texts.BUNDLES
    assert bundles.cycles(texts.BUNDLES.replace(old, new)) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", 4 + bundles.DELAY + 1),
        ("%s12_s21, 1 }", "%s12_s21, 2 }", 4 + bundles.DELAY + 3 + bundles.DELAY + 1),  # a round
        ("exit bundle", "another one", None),  # nobody knows where the jump leads
    ],
)
def test_jump_to_the_end(old, new, expected):
    assert bundles.cycles(texts.SCATTER.replace(old, new)) == expected


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("ssub.s32", (1, 2), 2**32 - 1),
        ("smulhi.u32", (2**31, 6), 3),
        ("sshra.s32", (2**32 - 8, 1), 2**32 - 4),
        ("sshrl.u32", (2**32 - 8, 1), 2**31 - 4),
        ("smin.s32", (2**32 - 1, 1), 2**32 - 1),
        ("scmp.lt.s32.totalorder", (2**32 - 1, 1), True),
        ("scmp.lt.u32.totalorder", (2**32 - 1, 1), False),
        ("pnand", (True, None), None),
        ("pnand", (False, None), True),
        ("por", (None, True), True),
        ("sadd.f32", (1, 2), None),
    ],
)
def test_scalars(name, values, expected):
    step = bundles._Step(name, "s0", operands=values)
    assert bundles._Kernel({})._result(step) == expected


def test_schedules_take_the_place_of_estimates(monkeypatch):
    monkeypatch.setenv("LIBTPU_INIT_ARGS", "")
    recorded = schedules.Schedules()
    (option,) = [o for o in schedules.os.environ["LIBTPU_INIT_ARGS"].split() if "dump_to" in o]
    folder = schedules.Path(option.partition("=")[2])
    (folder / "178-copy.2-01-final_bundles.txt").write_text(texts.SCATTER)
    recorded.forget()
    (folder / "179-copy.2-01-final_bundles.txt").write_text(texts.BUNDLES)
    (folder / "177-copy.2-01-final_bundles.txt").write_text(texts.SCATTER)  # left by another
    (folder / "179-copy.2-00-schedule-analysis_final_bundles.txt").write_text("other")
    kernels = tuple(Kernel(name, "copy", 1, 0, 0, cycles=900) for name in ("copy.2", "copy.3"))
    found = recorded.counted(Program(kernels)).kernels
    assert [(kernel.cycles, kernel.scheduled) for kernel in found] == [(49, True), (900, False)]
    assert not list(folder.iterdir())
