"""`python -m rwkv_chat` and the script `rwkv-chat`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from rwkv_chat.language import choose

    choose()  # before what is worded on import
    from rwkv_chat.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
