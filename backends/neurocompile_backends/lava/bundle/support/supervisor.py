"""Ends everything that Lava started, whatever happens.

Lava runs each process of a network as an operating-system process. They outlive an interrupt, and
wait for ever for one that died.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP")
               if hasattr(signal, name))
PATIENCE_SECONDS = 5.0


class Ended(BaseException):
    """A signal that ends the program."""


def supervised(work):
    """Run ``work()`` in a session of its own and return its exit status; 128 + n after signal n.
    Afterwards nothing of it runs, and its temporary files are gone."""
    if not hasattr(os, "fork"):
        return work()
    folder = tempfile.mkdtemp(prefix="lava-", dir=_short_folder())
    child = os.fork()
    if not child:
        _child(work, folder)
    for number in ENDING:
        signal.signal(number, _raise)
    status = 1
    try:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except Ended as ended:
        status = 128 + ended.args[0]
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        _end(child, status)
        shutil.rmtree(folder, ignore_errors=True)
    return status if status >= 0 else 128 - status


def _short_folder():
    """The temporary folder, or /tmp where its path leaves no room for those of sockets in it,
    which have 108 bytes."""
    usual = tempfile.gettempdir()
    return "/tmp" if len(usual) > 60 and os.path.isdir("/tmp") else usual  # noqa: PTH112


def _raise(number, _):
    raise Ended(number)


def _child(work, folder):
    """Never returns: what the parent has set up must not be ended twice."""
    status = 1
    try:
        os.setsid()
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        status = work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end(group, status):
    """First a request: Python's resource tracker, which ignores it, then frees shared memory."""
    if status == 0:  # Lava has ended its own; this is for what it forgot
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGTERM)
        return
    for number, patience in ((signal.SIGTERM, PATIENCE_SECONDS), (signal.SIGKILL, 1.0)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            with suppress(ChildProcessError):
                os.waitpid(group, os.WNOHANG)
            try:
                os.killpg(group, 0)
            except (ProcessLookupError, PermissionError):
                return
            time.sleep(0.05)


def watch(stop):
    """A thread that ends this process when one that it started dies: Lava would wait for it."""
    if hasattr(os, "waitid"):
        threading.Thread(target=_look, args=(stop,), daemon=True).start()


def _look(stop):
    """Looks for the dead without burying them: their parent still asks for their status."""
    while not stop.wait(0.2):
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # nothing was started yet
            continue
        if dead is not None and dead.si_status != 0 and not stop.is_set():
            print(f"a process of Lava died with status {dead.si_status}", file=sys.stderr,
                  flush=True)
            os._exit(1)
