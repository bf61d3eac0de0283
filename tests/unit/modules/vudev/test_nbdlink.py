# SPDX-License-Identifier: GPL-2.0-or-later
"""One connection to an NBD server: what is agreed on, and requests under way together."""

from __future__ import annotations

import errno
import random
import socket
import struct
import time

import nbdserver
import pytest
from nbdserver import ALL, SIZE

from pyview.modules.vudev.nbdlink import (
    FLUSH,
    LARGEST,
    READ,
    WRITE,
    Export,
    Link,
    Lost,
    Request,
)


@pytest.fixture
def dial():
    """A negotiated connection; closed with the test."""
    links = []

    def connect(server, export="", timeout=10):
        wire = socket.socket(socket.AF_UNIX)
        wire.connect(server.path)
        links.append(Link("nbd0", wire, export, timeout))
        return links[-1]

    yield connect
    for link in links:
        link.close()


def read(at, size):
    buffer = bytearray(size)
    return Request(READ, at, size, buffer=memoryview(buffer)), buffer


def write(at, data):
    return Request(WRITE, at, len(data), data=data)


# -- negotiation -----------------------------------------------------------------------------


@pytest.mark.parametrize("handshake", [0, 1, 2, 3])
@pytest.mark.parametrize("go", [False, True])
def test_every_handshake_leads_to_the_export(serve, dial, handshake, go):
    link = dial(serve(handshake=handshake, go=go), "disk")
    assert link.export == Export(SIZE, ALL | 1, 1, LARGEST)
    request, buffer = read(0, 10)
    link.run([request], 5)  # not a byte was left over
    assert buffer == bytes(10)


@pytest.mark.parametrize(
    ("blocks", "size", "found"),
    [
        ((1, 512, 0xFFFFFFFF), SIZE, (SIZE, 1, LARGEST)),
        ((512, 4096, 100_000), SIZE + 700, (SIZE + 512, 512, 99_840)),
        ((65536, 65536, 65536), 65535, (0, 65536, 65536)),
    ],
)
def test_the_servers_block_sizes(serve, dial, blocks, size, found):
    export = dial(serve(size, blocks=blocks)).export
    assert (export.size, export.smallest, export.largest) == found


@pytest.mark.parametrize("blocks", [(0, 512, 512), (3, 512, 512), (1 << 17, 1 << 17, 1 << 18),
                                    (4096, 4096, 512)])  # fmt: skip
def test_block_sizes_that_make_no_sense(serve, dial, blocks):
    with pytest.raises(OSError) as caught:
        dial(serve(blocks=blocks))
    assert caught.value.errno == errno.EPROTO


@pytest.mark.parametrize(
    ("refusal", "number", "text"),
    [
        ((1 << 31 | 6, b"no\n such"), errno.ENOENT, "nbd0: no such export (no such)"),
        ((1 << 31 | 6, b""), errno.ENOENT, "nbd0: no such export"),
        ((1 << 31 | 5, b""), errno.EOPNOTSUPP, "nbd0: the server wants TLS"),
        ((1 << 31 | 2, b"n" * 900), errno.EACCES, f"nbd0: refused by the server ({'n' * 200})"),
        ((1 << 31 | 2, b"\xff"), errno.EACCES, "nbd0: refused by the server (\ufffd)"),
        ((1 << 31 | 7, b""), errno.EPROTO, "nbd0: the server answers 0x80000007"),
        ((1, b""), errno.EPROTO, "nbd0: the server answers 0x1"),
        ((2, b""), errno.EPROTO, "nbd0: the server answers 0x2"),
    ],
)  # fmt: skip
def test_refusals_are_one_line(serve, dial, refusal, number, text):
    server = serve()
    server.refusal = refusal
    with pytest.raises(OSError) as caught:
        dial(server)
    assert (caught.value.errno, caught.value.filename) == (number, text)


@pytest.mark.parametrize("go", [False, True])
def test_an_export_that_an_old_server_has_not(serve, dial, go):
    server = serve(go=False, handshake=3 if go else 0)
    server.export = b"other"
    with pytest.raises(OSError) as caught:
        dial(server, "disk")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "nbd0: no such export")


@pytest.mark.parametrize(
    ("greeting", "number"),
    [
        (b"SSH-2.0-OpenSSH", errno.EPROTO),
        (b"NBDMAGIC" + struct.pack(">Q", 0x420281861253), errno.EOPNOTSUPP),
        (b"NBDMAGIC" + b"IHAVEOPS", errno.EOPNOTSUPP),
    ],
)
def test_what_is_no_NBD_server(serve, dial, greeting, number):
    server = serve()
    server.greeting = greeting
    with pytest.raises(OSError) as caught:
        dial(server)
    assert caught.value.errno == number


def test_a_server_that_says_nothing_is_not_waited_for(serve, dial):
    server = serve()
    server.greeting = b"NBDM"
    begin = time.monotonic()
    with pytest.raises(OSError) as caught:
        dial(server, timeout=0.2)
    assert caught.value.errno == errno.ETIMEDOUT
    assert time.monotonic() - begin < 5


def test_a_server_that_hangs_up(serve, dial):
    server = serve()
    server.crashes = [10]
    with pytest.raises(OSError) as caught:
        dial(server)
    assert caught.value.errno == errno.ECONNRESET


# -- transmission ----------------------------------------------------------------------------


def test_many_requests_at_once(serve, dial):
    server = serve(8 << 20)
    link = dial(server)
    chance = random.Random(3)
    content = chance.randbytes(8 << 20)
    parts = [(at, 100_000) for at in range(0, len(content), 100_000)]
    chance.shuffle(parts)
    writes = [write(at, content[at : at + size]) for at, size in parts]
    link.run(writes, 10)
    assert all(request.done and not request.error for request in writes)
    assert bytes(server.disk) == content
    reads = [(at, *read(at, min(size, len(content) - at))) for at, size in parts]
    link.run([request for _, request, _ in reads], 10)
    assert all(buffer == content[at : at + len(buffer)] for at, _, buffer in reads)


@pytest.mark.parametrize(
    ("sent", "number"),
    [(1, errno.EPERM), (5, errno.EIO), (12, errno.ENOMEM), (22, errno.EIO), (28, errno.ENOSPC),
     (75, errno.EIO), (95, errno.EOPNOTSUPP), (4711, errno.EIO)],
)  # fmt: skip
def test_an_error_is_that_request_s_alone(serve, dial, sent, number):
    server = serve()
    server.errors = {READ: sent}
    link = dial(server)
    request, _ = read(0, 4096)
    other = write(0, b"data")
    link.run([request, other], 5)
    assert (request.error, other.error) == (number, 0)
    assert request.done
    assert other.done


def lost(server, link, requests, silence=5.0):
    with pytest.raises(Lost):
        link.run(requests, silence)
    return [request.done for request in requests]


def test_what_was_answered_before_the_end_is_done(serve, dial):
    server = serve()
    head = 4 + 16 + 4 + 2 + 2  # flags; an option; the name's length, how many, block size
    server.crashes = [head + 2 * (28 + 4) + 28 + 2]
    link = dial(server)
    assert lost(server, link, [write(at, b"data") for at in range(0, 40, 4)]) == [
        True, True, *[False] * 8,
    ]  # fmt: skip


def test_a_silent_server_is_lost(serve, dial):
    server = serve()
    server.silent = {FLUSH}
    link = dial(server)
    assert lost(server, link, [write(0, b"x"), Request(FLUSH)], 0.1) == [True, False]


def test_answers_that_are_none(serve, dial):
    server = serve()
    link = dial(server)
    server.answer_magic = 0x668E33EF
    assert lost(server, link, [read(0, 10)[0]]) == [False]


def test_a_server_that_shuts_down_is_lost(serve, dial):
    server = serve()
    server.errors = {WRITE: 108}
    assert lost(server, dial(server), [write(0, b"x")]) == [False]


def test_closing_says_goodbye(serve, dial):
    server = serve()
    link = dial(server)
    link.run([read(0, 1)[0]], 5)
    link.close()
    assert server.left.wait(5)
    assert server.requests[-1][0] == nbdserver.DISCONNECT
