"""Stopping between two epochs."""

import os
import signal

import pytest

from experiments.training.interruption import Interruption


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_first_signal_is_noted_and_the_second_is_not_caught(number, code):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert interruption.signal is None
        os.kill(os.getpid(), number)
        assert (interruption.signal, interruption.code) == (number, code)
        assert signal.getsignal(number) == signal.SIG_DFL
    assert signal.getsignal(number) == before
