# SPDX-License-Identifier: GPL-2.0-or-later
"""Network stacks, and their sockets."""

from __future__ import annotations

import errno
from typing import Any, ClassVar

from pyview.api.errors import refuse


class Socket:
    """The socket calls: bytes and addresses in, bytes and addresses out.

    An operation that would block raises OSError(EAGAIN); the core makes the caller wait.
    """

    def bind(self, address: Any) -> None:
        raise refuse(errno.EOPNOTSUPP)

    def connect(self, address: Any) -> None:
        raise refuse(errno.EOPNOTSUPP)

    def listen(self, backlog: int) -> None:
        raise refuse(errno.EOPNOTSUPP)

    def accept(self) -> tuple[Socket, Any]:
        raise refuse(errno.EOPNOTSUPP)

    def send(self, data: bytes, flags: int, address: Any) -> int:
        raise refuse(errno.EOPNOTSUPP)

    def recv(self, size: int, flags: int) -> tuple[bytes, Any]:
        raise refuse(errno.EOPNOTSUPP)


class Stack:
    """A network stack: where sockets come from."""

    families: ClassVar[frozenset[int]] = frozenset()

    def socket(self, family: int, kind: int, protocol: int) -> Socket | int:
        """A socket, or a real descriptor made elsewhere that is handed to the caller."""
        raise refuse(errno.EAFNOSUPPORT)
