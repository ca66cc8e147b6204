"""Where things live: the only reader of environment variables.

`RWKV_CHAT_HOME` moves everything (data, config, cache) under one folder; otherwise the platform's own places
are used. Folders are made 0700, files are meant to be 0600 (`private_file` makes one so).

pathlib is imported where a path is made: it would be a tenth of what the help costs, which reads one file.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HOME_VARIABLE = "RWKV_CHAT_HOME"
APP, SETTINGS = "rwkv-chat", "settings.toml"
FOLDER_MODE = 0o700
FILE_MODE = 0o600


@dataclass(eq=False)
class FolderUnusable(Exception):
    """A folder of ours cannot be made or entered; `reason` is the system's short message."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Paths:
    """The program's folders and files. Nothing is made before `make()`.

    Attributes:
        data: conversations, snapshots, models, logs.  config: the settings file.
        cache: what can be fetched again.
        models_folder: where models lie, if not in `data`.
    """

    data: Path
    config: Path
    cache: Path
    models_folder: Path | None = None

    @classmethod
    def find(cls) -> Paths:
        """From the environment, else from the platform. Raises: FolderUnusable."""
        from pathlib import Path

        if home := _home():
            return cls.under(expanded(Path(home)).absolute())
        return cls(*map(Path, xdg_folders() or platform_folders()))

    @classmethod
    def under(cls, root: Path) -> Paths:
        """Everything below one folder."""
        return cls(root / "data", root / "config", root / "cache")

    @property
    def database(self) -> Path:
        return self.data / "library.sqlite"

    @property
    def backups(self) -> Path:
        return self.data / "backups"

    @property
    def states(self) -> Path:
        return self.data / "states"

    @property
    def outside(self) -> Path:
        """States that came from outside."""
        return self.data / "outside"

    @property
    def adapters(self) -> Path:
        """Adapters that conversations speak with, a folder each."""
        return self.data / "adapters"

    @property
    def tunes(self) -> Path:
        """What is trained or was, a folder each."""
        return self.data / "tunes"

    @property
    def locks(self) -> Path:
        """Which windows are open, and what they are at."""
        return self.data / "locks"

    @property
    def models(self) -> Path:
        return self.models_folder or self.data / "models"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def log_file(self) -> Path:
        return self.logs / "rwkv-chat.log"

    @property
    def settings_file(self) -> Path:
        return self.config / SETTINGS

    @property
    def presets(self) -> Path:
        """A person's own sampling presets."""
        return self.config / "presets"

    def make(self) -> Paths:
        """Make every folder, readable by its owner alone.

        Raises:
            FolderUnusable: one cannot be made.
        """
        ours = self.data, self.config, self.cache, self.states, self.outside, self.locks
        for folder in (*ours, self.adapters, self.tunes, self.logs, self.backups, self.models):
            private_folder(folder)
        return self


def settings_file() -> str:
    """`Paths.find().settings_file`, as text. Raises: FolderUnusable."""
    if home := _home():
        return os.path.join(os.path.expanduser(home), "config", SETTINGS)  # noqa: PTH111, PTH118  see above
    return f"{(xdg_folders() or platform_folders())[1]}/{SETTINGS}"


def _home() -> str:
    """The one folder for everything that the environment names, "" for none."""
    return os.environ.get(HOME_VARIABLE, "").strip()


# data, config and cache: a variable of the XDG standard, and the place below the home without it
XDG = (("XDG_DATA_HOME", ".local/share"), ("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache"))


def xdg_folders() -> tuple[str, ...] | None:
    """As `platform_folders`, on Linux, without the 7 ms that importing it takes; None where that must be
    asked.
    """
    home = os.environ.get("HOME", "")
    if sys.platform != "linux" or "ANDROID_DATA" in os.environ or not home.startswith("/"):
        return None
    named = ((os.environ.get(variable, ""), below) for variable, below in XDG)
    bases = (base if base.startswith("/") else f"{home.rstrip('/')}/{below}" for base, below in named)
    return tuple(f"{base}/{APP}" for base in bases)


def platform_folders() -> tuple[str, ...]:
    """The folders of this system for data, config and cache. Raises: FolderUnusable."""
    from platformdirs import PlatformDirs

    dirs = PlatformDirs(APP, appauthor=False)
    try:
        return dirs.user_data_dir, dirs.user_config_dir, dirs.user_cache_dir
    except RuntimeError as error:  # nobody's home
        raise FolderUnusable("~", str(error)) from error


def expanded(path: Path) -> Path:
    """`path` with `~` written out, where there is a home of that name."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def private_folder(path: Path) -> None:
    """Make `path` (and what is missing above it) with mode 0700; tighten it where it exists and is ours."""
    try:
        for folder in (
            *reversed(path.parents),
            path,
        ):  # `parents=True` would give those above the umask's mode
            if not folder.is_dir():
                folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise FolderUnusable(str(path), error.strerror or str(error)) from error
    with suppress(OSError):  # a file system without modes
        path.chmod(FOLDER_MODE)


def private_file(path: Path) -> None:
    """Make `path` if it is missing, and give it mode 0600.

    Raises:
        OSError: it cannot be made.
    """
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, FILE_MODE))
    with suppress(OSError):
        path.chmod(FILE_MODE)


def with_our_modules() -> dict[str, str]:
    """The environment for a Python of ours: it imports what this one does, though nothing is installed."""
    import sysconfig
    from pathlib import Path

    root = str(Path(__file__).resolve().parents[1])
    if root in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        return dict(os.environ)
    known = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, known] if known else [root])}


def hub_endpoint() -> str:
    """The mirror of the Hugging Face hub that the environment names; "" for none."""
    return os.environ.get("HF_ENDPOINT", "").strip()


def hub_token() -> str | None:
    """The Hugging Face token that the person saved, in the environment or by `hf auth login`; asked for only
    where it is to be sent.
    """
    from pathlib import Path

    named = os.environ.get("HF_TOKEN", "").strip()
    if named:
        return named
    home = os.environ.get("HF_HOME", "").strip() or "~/.cache/huggingface"
    place = os.environ.get("HF_TOKEN_PATH", "").strip() or f"{home}/token"
    with suppress(OSError, ValueError):
        return expanded(Path(place)).read_text(encoding="utf-8").strip() or None
    return None


def resource(name: str) -> Path:
    """A file or folder that comes with the program, e.g. "prompts/templates" or "assets/demo/model.toml".

    A wheel keeps them in `rwkv_chat/_data`; an editable install in the repository's root.
    """
    from pathlib import Path

    package = Path(__file__).resolve().parent
    packed = package / "_data" / name
    return packed if packed.exists() else package.parent / name


def colours_wanted() -> bool:
    """Whether nobody has asked for none: see no-color.org, an empty value asks for nothing."""
    return not os.environ.get("NO_COLOR")


def dim_shows() -> bool:
    """Whether a terminal here may be sent dim letters."""
    return colours_wanted() and os.environ.get("TERM") != "dumb"


def terminal_names() -> dict[str, str]:
    """What the environment says of the terminal; of tmux and SSH, only whether they are there."""
    named = {name: os.environ.get(name, "") for name in ("TERM", "TERM_PROGRAM", "COLORTERM", "NO_COLOR")}
    there = {"tmux": "TMUX", "ssh": "SSH_CONNECTION"}
    return named | {name: "yes" if os.environ.get(variable) else "no" for name, variable in there.items()}


def editor() -> tuple[str, ...]:
    """The command line of the editor that the environment names; () for none."""
    return _program("VISUAL", "EDITOR")


def pager() -> tuple[str, ...]:
    """The command line of the pager that the environment names; () for none."""
    return _program("PAGER")


def _program(*variables: str) -> tuple[str, ...]:
    import shlex

    for name in variables:
        with suppress(ValueError):  # a quotation mark without its partner
            if line := shlex.split(os.environ.get(name, ""), posix=os.name != "nt"):
                return tuple(line)
    return ()


def terminal_columns() -> int:
    """Columns of the terminal that stdout is, 80 where it is none; `COLUMNS` overrules it, as usual."""
    with suppress(ValueError):
        if (named := int(os.environ.get("COLUMNS", ""))) > 0:
            return named
    with suppress(OSError, ValueError, AttributeError):  # closed, or none
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # pyright: ignore[reportOptionalMemberAccess]
    return 80


def surroundings() -> frozenset[str]:
    """Of "tmux", "wayland" and "x11", those that the program runs in."""
    named = {"tmux": "TMUX", "wayland": "WAYLAND_DISPLAY", "x11": "DISPLAY"}
    return frozenset(place for place, variable in named.items() if os.environ.get(variable))
