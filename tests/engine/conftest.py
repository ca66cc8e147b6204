"""What engine tests share: one small model, and an engine of each kind on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from engine.ops.token7 import keep_code_in
from tests.engine.hub import Hub, running
from tests.engine.small import engine_on, write_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.service import Engine
    from engine.types import LoadRequest

Kind = Literal["thread", "process"]

keep_code_in(Path(__file__).parents[2] / ".pytest_cache")  # compiled once for all runs


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadRequest:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module", params=["thread", "process"])
def shared(
    request: pytest.FixtureRequest, model: LoadRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """One engine of each kind for the tests that leave it as it was."""
    with engine_on(tmp_path_factory.mktemp("shared"), model, request.param) as engine:
        yield engine


@pytest.fixture(params=["thread", "process"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub on this machine, reached by its number."""
    with running(Hub()) as here:
        yield here


@pytest.fixture
def other() -> Iterator[Hub]:
    """Another one, reached by its name: another host."""
    with running(Hub("localhost")) as there:
        yield there


@pytest.fixture
def certificate() -> Path:
    """Of a server on this machine, signed by nobody, with its key: good for tests alone."""
    return Path(__file__).parents[1] / "data" / "loopback.pem"
