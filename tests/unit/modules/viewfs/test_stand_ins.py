# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that only root may read: every account is there, and locked."""

from __future__ import annotations

from pyview.modules.viewfs.stand_ins import stand_in
from pyview.view import View


def test_accounts_without_passwords(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nme:x:1:1::/:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nus:x:5:me,you\n")
    below = View().now().at(str(tmp_path))
    assert stand_in(below, "/etc/shadow") == b"".join(
        b"%s:*:19000:0:99999:7:::\n" % name for name in (b"root", b"me")
    )
    assert stand_in(below, "/etc/gshadow-") == b"root:*::\nus:*::me,you\n"
    assert stand_in(below, "/etc/passwd") is None
