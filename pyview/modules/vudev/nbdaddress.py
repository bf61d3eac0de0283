# SPDX-License-Identifier: GPL-2.0-or-later
"""Where an NBD server is: what users write, and a socket that leads there.

The forms are those of NetworkBlockDevice/nbd's doc/uri.md, and shorter ones.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from pyview.api import Tree, refuse

if TYPE_CHECKING:
    import socket

PORT = 10809
LONGEST_PATH = 107  # bytes: unix(7)


class Address(NamedTuple):
    """Where an export is; `host` is "" for a unix socket."""

    host: str
    port: int
    path: str
    export: str


def address(source: str) -> Address:
    """What a mount's source says.  Errors: EINVAL, EOPNOTSUPP, with the reason in the line.

    nbd://host[:port]/export, nbd+unix:///export?socket=PATH, unix:PATH, PATH,
    host:port.  The default export's name is empty.
    """
    if "://" in source:
        return _of_uri(source)
    path = source.removeprefix("unix:")
    if path != source or path.startswith("/"):
        return Address("", 0, _socket(source, path), "")
    return _of_host(source, source, "")


def _of_uri(source: str) -> Address:
    from urllib.parse import unquote, urlsplit  # slow to import

    try:
        parts = urlsplit(source)
    except ValueError:
        raise refuse(errno.EINVAL, f"{source}: not an address") from None
    export = unquote(parts.path.removeprefix("/"), errors="surrogateescape")
    if parts.scheme in ("nbds", "nbds+unix"):
        raise refuse(errno.EOPNOTSUPP, f"{source}: TLS")
    if parts.scheme == "nbd":
        return _of_host(source, parts.netloc.rpartition("@")[2], export)
    if parts.scheme != "nbd+unix":
        raise refuse(errno.EINVAL, f"{source}: neither nbd:// nor nbd+unix://")
    query = dict(part.partition("=")[::2] for part in parts.query.split("&"))
    path = unquote(query.get("socket", ""), errors="surrogateescape")
    return Address("", 0, _socket(source, path), export)


def _of_host(source: str, place: str, export: str) -> Address:
    """An address whose "host", "host:port" or "[ipv6]:port" is `place`."""
    host, colon, port = place.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = place, str(PORT)
    host = host.removeprefix("[").removesuffix("]")
    number = int(port) if port.isascii() and port.isdigit() else 0
    if not host or not 0 < number < 1 << 16 or (source == place and not colon):
        raise refuse(errno.EINVAL, f"{source}: not of the form host:port, unix:PATH or nbd://...")
    return Address(host, number, "", export)


def _socket(source: str, path: str) -> str:
    if path.startswith("\0"):
        return path  # the abstract name space
    if not path.startswith("/") or path.startswith("//"):
        raise refuse(errno.EINVAL, f"{source}: the socket's path must be absolute")
    return os.path.normpath(path)


def connect(below: Tree, where: Address, timeout: float) -> socket.socket:
    """A socket connected to the server.  Errors: those of connect(2), ETIMEDOUT.

    The core opens it natively; a unix socket's name is `below`'s.
    """
    import socket  # slow to import

    if where.host:
        try:
            link = socket.create_connection((where.host, where.port), timeout)
        except (socket.gaierror, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not a name"
            raise refuse(errno.EHOSTUNREACH, f"{where.host}: {why}") from None
        except OSError as error:
            # create_connection's own TimeoutError has no errno
            raise refuse(error.errno or errno.ETIMEDOUT, f"{where.host}:{where.port}") from None
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link
    name = where.path if where.path.startswith("\0") else below.real(where.path)
    if name is None:
        raise refuse(errno.ENXIO, where.path)  # a socket's name is the kernel's
    if len(os.fsencode(name)) > LONGEST_PATH:
        raise refuse(errno.ENAMETOOLONG, where.path)
    link = socket.socket(socket.AF_UNIX)
    try:
        link.settimeout(timeout)
        link.connect(name)
    except OSError as error:
        link.close()
        raise refuse(error.errno or errno.ETIMEDOUT, where.path) from None
    return link
