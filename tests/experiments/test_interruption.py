"""Stopping between two epochs."""

import os
import signal

import pytest

from experiments.interruption import Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_noted_and_the_second_is_not_caught(number):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert interruption.signal is None
        os.kill(os.getpid(), number)
        assert interruption.signal == number
        assert signal.getsignal(number) == signal.SIG_DFL
    assert signal.getsignal(number) == before
