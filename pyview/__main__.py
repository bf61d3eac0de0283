# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m pyview` is `pyview`."""

import sys

from pyview.cli import main

if __name__ == "__main__":
    sys.exit(main(["pyview", *sys.argv[1:]]))
