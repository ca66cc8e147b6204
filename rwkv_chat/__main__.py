"""`python -m rwkv_chat` and the script `rwkv-chat`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from rwkv_chat.language import choose

    choose(sys.argv[1:])  # before what is worded on import
    sys.exit(started(sys.argv[1:]))


def started(arguments: list[str]) -> int:
    """One command line; the exit code. The full-screen program alone starts without click and its words."""
    from rwkv_chat.cli.open_tui import on_terminal, shown
    from rwkv_chat.texts import DEFAULT_LANGUAGE, spoken

    if not arguments and on_terminal():
        from rwkv_chat.cli.ending import ended

        return ended(shown)
    from rwkv_chat.cli.main import run

    if spoken() != DEFAULT_LANGUAGE:
        from rwkv_chat.cli.click_words import translate

        translate()
    return run(arguments)


if __name__ == "__main__":
    main()
