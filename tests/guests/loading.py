# SPDX-License-Identifier: GPL-2.0-or-later
"""Load a module while others of the view sleep, spin, fork, wait, are stopped, get signals.

Run in a view with nothing loaded.  Each process must go on as if nothing had happened, and see
/unreal afterwards.  Prints the names of those that did not.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time

SECONDS = 1.5  # how long each of them is at it; the module is loaded within this time
START, LOADED, OVER = os.pipe(), os.pipe(), os.pipe()


def sees_unreal():
    return os.path.exists("/unreal/etc/passwd")


def on_time(began):
    return SECONDS - 0.05 < time.monotonic() - began < SECONDS + 1


def sleeps():
    class Timespec(ctypes.Structure):
        _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]

    began = time.monotonic()
    asked = Timespec(int(SECONDS), int(SECONDS % 1 * 1e9))
    left = ctypes.CDLL(None).nanosleep(ctypes.byref(asked), None)
    return left == 0 and on_time(began)


def selects():
    began = time.monotonic()
    return select.select([], [], [], SECONDS) == ([], [], []) and on_time(began)


def waits_for_a_lock():
    lock, began = threading.Lock(), time.monotonic()
    lock.acquire()
    return not lock.acquire(timeout=SECONDS) and on_time(began)


def reads():
    return os.read(LOADED[0], 1) == b"x"


def spins_in_threads():
    seen = []

    def spin():
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            pass
        seen.append(sees_unreal())

    threads = [threading.Thread(target=spin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen == [True] * 8


def forks():
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        child = os.fork()
        if not child:
            os._exit(7)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 7:
            return False
    return subprocess.run(["true"]).returncode == 0


def gets_signals():
    told = []
    signal.signal(signal.SIGALRM, lambda *_: told.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        os.stat("/etc/passwd")
    signal.setitimer(signal.ITIMER_REAL, 0, 0)
    return len(told) > 10


def is_stopped():
    os.kill(os.getpid(), signal.SIGSTOP)
    return True


KINDS = [sleeps, selects, waits_for_a_lock, reads, spins_in_threads, forks, gets_signals,
         is_stopped]  # fmt: skip


def start(kind):
    child = os.fork()
    if not child:
        os.close(OVER[1])
        os.write(START[1], b"x")
        good = kind()
        os.read(OVER[0], 1)  # its end: the module is loaded, however long that took
        os._exit(0 if good and sees_unreal() else 1)
    return child


def main():
    children = {kind.__name__: start(kind) for kind in KINDS}
    began = 0
    while began < len(KINDS):
        began += len(os.read(START[0], len(KINDS)))
    os.waitpid(children["is_stopped"], os.WUNTRACED)
    loaded = subprocess.run(["vu_insmod", "unreal"]).returncode
    os.write(LOADED[1], b"x")
    os.close(OVER[1])
    assert os.waitpid(children["is_stopped"], os.WUNTRACED | os.WNOHANG) == (0, 0)
    os.kill(children["is_stopped"], signal.SIGCONT)
    wrong = [name for name, child in children.items() if os.waitpid(child, 0)[1]]
    print("wrong:", *wrong)
    return loaded or len(wrong)


if __name__ == "__main__":
    sys.exit(main())
