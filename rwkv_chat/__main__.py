"""`python -m rwkv_chat` and the script `rwkv-chat`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from rwkv_chat.language import choose
    from rwkv_chat.texts import DEFAULT_LANGUAGE

    translated = choose(sys.argv[1:]) != DEFAULT_LANGUAGE  # before what is worded on import
    from rwkv_chat.cli.main import run

    if translated:
        from rwkv_chat.cli.click_words import translate

        translate()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
