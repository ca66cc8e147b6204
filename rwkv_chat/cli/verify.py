"""`rwkv-chat verify`: is everything that was saved as it should be?"""

from __future__ import annotations

from dataclasses import asdict

import click

from rwkv_chat.cli.convs_shared import print_json
from rwkv_chat.cli.output import result
from rwkv_chat.explain import FAILURE, OK
from rwkv_chat.paths import Paths
from rwkv_chat.texts import say
from rwkv_chat.verification import Result, verification


@click.command("verify", help=say("verify.help"))
@click.option("--repair", is_flag=True, help=say("verify.repair"))
@click.option("--json", "as_json", is_flag=True, help=say("verify.json"))
def command(repair: bool, as_json: bool) -> int:
    """The exit code: 1 where something is wrong and was not mended."""
    paths = Paths.find().make()
    found: list[Result] = []
    for each in verification(paths, repair=repair):
        found.append(each)
        if not as_json:
            result(each.text + (say("verify.mended") if each.mended else ""))
    wrong = [each for each in found if not each.good]
    left = [each for each in wrong if not each.mended]
    if as_json:
        print_json({"ok": not left, "found": [asdict(each) for each in found]})
    else:
        result(_summary(len(wrong), len(left), repair=repair))
    return FAILURE if left else OK


def _summary(wrong: int, left: int, *, repair: bool) -> str:
    if not wrong:
        return say("verify.fine")
    if not left:
        return say("verify.all_mended", number=wrong)
    return say("verify.not_mended" if repair else "verify.left", number=left)
