# SPDX-License-Identifier: GPL-2.0-or-later
"""NBD servers for a test."""

from __future__ import annotations

import nbdserver
import pytest


@pytest.fixture
def serve(tmp_path):
    """Starts a server; they are ended with the test."""
    servers = []

    def start(size=nbdserver.SIZE, **options):
        servers.append(nbdserver.Server(str(tmp_path / f"s{len(servers)}"), size, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()
