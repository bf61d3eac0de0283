# SPDX-License-Identifier: GPL-2.0-or-later
"""The control channel, against honest clients, rude ones and dying ones."""

from __future__ import annotations

import _socket
import errno
import os
import resource
import select
import socket
import threading

import pytest

from pyview import control


def connect(core=None):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(b"\0pyview/%d" % (core or os.getpid()))
    client.settimeout(10)
    return client


def echo(pid, uid, words):
    return len(words), "|".join(words)


def test_a_process_that_nobody_traces_is_in_no_view():
    assert control.core_pid() == 0
    with pytest.raises(control.NotInView):
        control.ask("info")


def test_a_tracer_that_is_no_core_is_no_view(monkeypatch):
    monkeypatch.setattr(control, "core_pid", lambda: 1)
    with pytest.raises(control.NotInView):
        control.ask("info")


def test_words_arrive_as_they_were_sent(serve):
    serve(echo)
    assert control.ask("mount", "", "a b", "è\udcff\n") == (4, "mount||a b|è\udcff\n")


def test_the_server_knows_who_asks(serve):
    serve(lambda pid, uid, words: (0, f"{pid} {uid}"))
    assert control.ask("info") == (0, f"{os.getpid()} {os.getuid()}")
    read, write = os.pipe()
    core = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            client = connect(core)
            client.send(b"info")
            os.write(write, client.recv(100)[2:])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == f"{child} {os.getuid()}".encode()
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("size", [0, 1, control.PACKET, control.PACKET + 1, 3_000_000])
def test_an_answer_of_any_size_arrives_whole(serve, size):
    serve(lambda pid, uid, words: (7, "x" * size))
    assert control.ask("mounts") == (7, "x" * size)


def test_a_client_that_does_not_read_keeps_nobody_waiting(serve):
    serve(lambda pid, uid, words: (0, "x" * 3_000_000))
    with connect() as slow:
        slow.send(b"mounts")
        assert control.ask("mounts")[1] == "x" * 3_000_000
        got = 0
        while (packet := slow.recv(control.PACKET + 2))[0] == 0:
            got += len(packet) - 1
        assert got + len(packet) - 2 == 3_000_000


def test_an_answer_may_come_later(serve):
    promised = []

    def dispatch(pid, uid, words):
        if words[0] == "now":
            promised[0].done(5, "at last")
            return 0, "now"
        promised.append(control.Later())
        return promised[-1]

    serve(dispatch)
    with connect() as client:
        client.send(b"later")
        with connect() as other:
            other.send(b"now")
            assert other.recv(100) == b"\1\0now"
        assert client.recv(100) == b"\1\5at last"


def test_a_later_may_be_done_before_it_is_returned(serve):
    def dispatch(pid, uid, words):
        later = control.Later()
        later.done(3, "early")
        return later

    serve(dispatch)
    assert control.ask("x") == (3, "early")


def test_a_later_for_a_client_that_died_is_no_error(serve):
    promised = []
    asked = threading.Event()

    def dispatch(pid, uid, words):
        if words[0] == "finish":
            promised[0].done(0, "nobody hears this")
            return 0, ""
        promised.append(control.Later())
        asked.set()
        return promised[-1]

    serve(dispatch)
    client = connect()
    client.send(b"later")
    assert asked.wait(10)
    client.close()
    assert control.ask("finish") == (0, "")


def test_one_connection_takes_one_request_after_the_other(serve):
    serve(echo)
    with connect() as client:
        for word in (b"a", b"b"):
            client.send(word)
        assert client.recv(100) == b"\1\1a"
        assert client.recv(100) == b"\1\1b"


@pytest.mark.parametrize("data", [b"\0", b"\0" * 1000, b"\xff\xfe", os.urandom(500), b"x" * 9999])
def test_garbage_is_only_words(serve, data):
    serve(echo)
    with connect() as client:
        client.send(data)
        answer = client.recv(70000)
        assert answer[0] == 1
        assert answer[2:] == b"|".join(data.split(b"\0"))


def test_a_request_that_is_too_long_is_refused_at_both_ends(serve):
    serve(echo)
    with pytest.raises(OSError, match="too long") as caught:
        control.ask("x" * control.REQUEST_LIMIT, "y")
    assert caught.value.errno == errno.EMSGSIZE
    with connect() as client:
        client.send(b"x" * (control.REQUEST_LIMIT + 50))
        assert client.recv(100) == b"\1\2the request is too long"
    assert control.ask("x" * control.REQUEST_LIMIT)[0] == 1


def test_an_empty_packet_ends_the_connection(serve):
    serve(echo)
    with connect() as client:
        client.send(b"")
        assert client.recv(10) == b""
    assert control.ask("a") == (1, "a")


def test_a_client_that_dies_at_any_moment_disturbs_nobody(serve):
    serve(lambda pid, uid, words: (0, "x" * 1_000_000))
    for moment in range(3):
        client = connect()
        if moment:
            client.send(b"mounts")
        if moment > 1:
            client.recv(10)
        client.close()
    assert len(control.ask("mounts")[1]) == 1_000_000


def test_a_crowd_is_turned_away_not_waited_for(serve):
    serve(echo)
    crowd = [connect() for _ in range(control.CLIENTS)]
    crowd[0].send(b"a")
    assert crowd[0].recv(10) == b"\1\1a"
    with connect() as late:
        late_answer = b""
        try:
            late.send(b"a")
            late_answer = late.recv(10)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert late_answer == b""
    for client in crowd:
        client.close()
    assert control.ask("a") == (1, "a")


def test_many_clients_at_once(serve):
    serve(echo)
    answers = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append((n, control.ask("n", str(n)))))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(answers) == [(n, (2, f"n|{n}")) for n in range(20)]


def test_an_impostor_under_the_cores_name_is_not_believed(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as impostor:
        impostor.bind(b"\0pyview/1")  # what init would have, if it were a core
        impostor.listen(1)
        monkeypatch.setattr(control, "core_pid", lambda: 1)
        with pytest.raises(control.NotInView):
            control.ask("info")


def test_another_user_is_refused(serve, monkeypatch):
    serve(echo)
    uid = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: uid)
    assert control.ask("a") == (1, "this view belongs to another user")


def test_a_core_that_goes_away_in_the_middle_is_said_so(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as core:
        core.bind(b"\0pyview/%d" % os.getpid())
        core.listen(1)
        monkeypatch.setattr(control, "core_pid", os.getpid)

        def vanish():
            connection, _ = core.accept()
            connection.recv(100)
            connection.send(b"\0half of")
            connection.close()

        thread = threading.Thread(target=vanish, daemon=True)
        thread.start()
        assert control.ask("info") == (1, "the core of this view has gone away")
        thread.join(10)


def test_serving_never_blocks():
    server = control.Server(echo)
    server.serve()  # nobody is there
    assert server.fileno() in server.descriptors()
    client = connect()
    assert select.select([server], [], [], 10)[0]
    server.serve()
    server.serve()  # connected, and silent
    assert not select.select([server], [], [], 0)[0]
    client.close()
    server.serve()
    server.close()


def test_the_owner_is_told_how_many_are_connected():
    told = []
    server = control.Server(echo, told.append)
    assert server.door() in server.descriptors()
    first, second = connect(), connect()
    server.serve()
    server.serve()
    assert told == [1, 2]
    first.close()
    server.serve()
    assert told == [1, 2, 1]
    second.send(b"info")
    server.serve()
    assert told == [1, 2, 1]
    server.close()
    assert told == [1, 2, 1, 0]
    second.close()


def test_a_second_server_of_one_process_is_an_error():
    server = control.Server(echo)
    try:
        with pytest.raises(OSError) as caught:
            control.Server(echo)
        assert caught.value.errno == errno.EADDRINUSE
    finally:
        server.close()


def test_the_client_imports_next_to_nothing():
    import subprocess
    import sys

    code = "import sys; import pyview.cli, pyview.commands.vu_lsmod; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    heavy = {"socket", "select", "json", "argparse", "dataclasses", "logging", "typing", "inspect"}
    brought = set(out) & heavy
    site = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert brought <= set(site)
    assert _socket.__name__ in out


def test_who_makes_the_core_go_wrong_is_dropped_and_nobody_else(monkeypatch):
    def dispatch(pid, uid, words):
        if words[0] == "wrong":
            raise KeyError("oops")
        return 0, "well"

    server = control.Server(dispatch)
    try:
        with connect() as rude, connect() as polite:
            server.serve()
            server.serve()
            rude.send(b"wrong")
            with pytest.raises(KeyError):
                server.serve()
            assert rude.recv(100) == b""
            polite.send(b"x")
            server.serve()
            assert polite.recv(100) == b"\1\0well"
    finally:
        server.close()


def test_without_a_descriptor_who_comes_is_turned_away():
    server = control.Server(echo)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        with connect() as late, connect() as later:
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
            held = [os.dup(0)]
            while held[-1] < 99:
                held.append(os.dup(0))
            server.serve()
            assert late.recv(100) == b"\1\1the core has too many files open"
            os.close(held.pop())
            server.serve()
            later.send(b"hello")
            server.serve()
            assert later.recv(100) == b"\1\1hello"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        server.close()
        for fd in held:
            os.close(fd)
