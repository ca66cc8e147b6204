"""What `rwkv-chat models info` prints on one tiny random model in every format.

python -m tests.bench.models_info
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.engine.samples import SAMPLES, spec_of

WORLD = 65536


def main() -> None:
    """Every format's model lies in a folder of its own; the person's own data is not touched."""
    with tempfile.TemporaryDirectory(prefix="rwkv-chat-info-") as folder:
        os.environ["RWKV_CHAT_HOME"] = str(Path(folder) / "home")
        from rwkv_chat.cli.main import run

        for kind, make in SAMPLES.items():
            place = Path(folder) / kind
            place.mkdir()
            path = make(place, replace(spec_of(kind), vocab_size=WORLD))
            print(f"\n$ rwkv-chat models info {path.relative_to(folder)}", flush=True)
            run(["models", "info", str(path)])


if __name__ == "__main__":
    main()
