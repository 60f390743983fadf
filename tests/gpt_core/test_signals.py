"""A signal is deferred to where nothing is lost; the second one ends the process at once."""

import signal
import subprocess
import sys
import threading

import pytest

from gpt_core.signals import defer_signals, exit_on_sigterm

TWICE = """
import signal, sys, time
from gpt_core import signals
signals._SAME_REQUEST_SECONDS = 0.0
signal.signal(signal.SIGINT, signal.default_int_handler)
with signals.defer_signals():
    signal.raise_signal(int(sys.argv[1]))
    print("deferred", flush=True)
    time.sleep(0.01)
    signal.raise_signal(int(sys.argv[1]))
    print("not reached")
"""


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_is_deferred_to_the_end_of_the_block(
    number: signal.Signals, error: type[BaseException]
) -> None:
    before = signal.getsignal(number)
    reached = []
    with pytest.raises(error) as caught, defer_signals() as request:
        assert not request
        signal.raise_signal(number)
        signal.raise_signal(number)  # at once: a launcher passed the same request on
        reached.append(bool(request))
    assert reached == [True]
    assert signal.getsignal(number) is before
    assert getattr(caught.value, "code", 143) == 143


def test_an_error_of_the_block_is_not_replaced() -> None:
    with pytest.raises(ValueError, match="mine"), defer_signals():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("mine")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_the_process_at_once(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWICE, str(int(number))], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (-number, b"deferred\n")


def test_sigterm_raises_and_the_old_handler_returns() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, exit_on_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_receive_no_signals() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def work() -> None:
        with defer_signals() as request, exit_on_sigterm():
            seen.extend([bool(request), signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False, before]


def test_a_process_ends_although_a_thread_does_not() -> None:
    code = (
        "import atexit, threading; from gpt_core import signals;"
        "atexit.register(print, 'Python ends'); print('before', end='');"
        "threading.Thread(target=threading.Event().wait).start();"
        "signals.exit_without_threads('the thread hangs')"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (found.returncode, found.stdout, found.stderr) == (1, "before", "the thread hangs\n")
