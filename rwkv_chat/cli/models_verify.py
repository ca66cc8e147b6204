"""`rwkv-chat models verify`: is every byte of a model as it should be, and does it say what it should?"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rwkv_chat.cli.models_shared import find, followed, json_option, print_json
from rwkv_chat.cli.opening import shelf_opened
from rwkv_chat.cli.output import note, result
from rwkv_chat.explain import FAILURE, OK
from rwkv_chat.plain_text import title
from rwkv_chat.texts import say

if TYPE_CHECKING:
    from pathlib import Path

    from rwkv_chat.session import Golden, Session, Verified


@click.command("verify", help=say("models.verify.help"))
@click.argument("models", metavar="FILE|NAME...", nargs=-1, required=True)
@click.option("--golden", "with_golden", is_flag=True, help=say("models.verify.golden"))
@json_option
def command(models: tuple[str, ...], with_golden: bool, as_json: bool) -> int:
    """The exit code: 1 where a continuation differs; a damaged file ends it with an error."""
    return asyncio.run(_verify(models, with_golden=with_golden, as_json=as_json))


async def _verify(models: tuple[str, ...], *, with_golden: bool, as_json: bool) -> int:
    records: list[dict[str, Any]] = []
    agree = True
    async with shelf_opened() as session:
        for model in models:
            path = await find(session, model)
            verified: Verified = await followed(path.name, session.shelf.verify(path))
            if not as_json:
                _tell(verified)
            record: dict[str, Any] = {"path": str(path), "sha256": verified.id}
            record |= {"compared_with": verified.compared, "tensors": verified.tensors}
            if with_golden:
                golden = await _golden(session, path, as_json=as_json)
                record["golden"], agree = asdict(golden), agree and golden.first is None
            records.append(record)
    if as_json:
        print_json(records)
    return OK if agree else FAILURE


async def _golden(session: Session, path: Path, *, as_json: bool) -> Golden:
    golden: Golden = await followed(path.name, session.shelf.golden(path))
    if not as_json:
        for line in golden_lines(golden):
            result(line)
        note(say("models.golden.about"))
    return golden


def _tell(verified: Verified) -> None:
    result(say("models.verify.sound", path=title(str(verified.path), 300), tensors=verified.tensors))
    result(say("models.verify.sha256", sha256=verified.id))
    note(say(f"models.verify.compared.{verified.compared or 'nothing'}"))


def golden_lines(golden: Golden) -> list[str]:
    """What came of a golden run: that all agree, or the first token that differs."""
    if golden.first is None:
        return [say("models.golden.agree", count=len(golden.expected))]
    at = golden.first
    values: dict[str, Any] = {"place": at + 1, "count": len(golden.expected)}
    values["expected"], values["found"] = _token(golden.expected, at), _token(golden.found, at)
    return [
        say("models.golden.differ", **values),
        say("models.golden.expected", ids=" ".join(map(str, golden.expected))),
        say("models.golden.found", ids=" ".join(map(str, golden.found))),
    ]


def _token(tokens: tuple[int, ...], at: int) -> str:
    return str(tokens[at]) if at < len(tokens) else say("models.golden.none")
