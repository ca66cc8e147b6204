"""Which saved states go first: the middle of conversations, their last eight, tips; never what is pinned."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.store.ladder import IDLE_SECONDS, File, Ladders, rungs_of
from engine.types import Ladder

NOW = 1e9
OLD = NOW - 2 * IDLE_SECONDS


def key(conversation: int, place: int) -> str:
    return f"{conversation:08x}{place:024x}".ljust(64, "0")


def line(conversation: int, length: int, **more: tuple[str, ...]) -> Ladder:
    """A conversation without branches; somebody stands at its end."""
    rungs = tuple(key(conversation, n) for n in range(length))
    parents = tuple(range(-1, length - 1))
    return Ladder(str(conversation), rungs, parents, **{"tips": rungs[-1:], **more})


def file(name: str, used: float = OLD) -> File:
    return File(f"{name[:32]}-{'0' * 32}.safetensors", 100, used)


def files(of: Ladder, used: float = OLD) -> list[File]:
    return [file(each, used) for each in of.rungs]


def places(found: list[File]) -> list[int]:
    return [int(each.name[8:32], 16) for each in found]


def told(*ladders: Ladder) -> Ladders:
    made = Ladders()
    for each in ladders:
        made.tell(each)
    return made


def test_of_an_idle_conversation_the_middle_goes_first_and_its_tip_last() -> None:
    one = line(1, 40)
    order = places(told(one).order(files(one), NOW))
    middle = range(32)  # the last eight are 32 … 39, of which 39 is the tip
    odd = [n for n in middle if (n + 1) % 2]
    fourths = [n for n in middle if (n + 1) % 4 == 2]
    eighths = [n for n in middle if (n + 1) % 8 == 4]
    rest = [7, 23, 15, 31]  # every 8th, then every 16th …
    recent = [n for n in range(32, 39)]  # noqa: C416  to be read beside the others
    assert order == [*odd, *fourths, *eighths, *recent, *rest, 39]


def test_after_each_round_every_second_fourth_eighth_is_left() -> None:
    one = line(1, 72)
    order = places(told(one).order(files(one), NOW))
    for gone, step in ((32, 2), (48, 4), (56, 8)):
        left = sorted(set(range(64)) - set(order[:gone]))
        assert [b - a for a, b in pairwise(left)] == [step] * (len(left) - 1)


def test_what_no_ladder_knows_goes_before_and_what_is_in_use_after() -> None:
    idle, used = line(1, 20), line(2, 20)
    loose, loose_now = file(key(8, 0)), file(key(9, 0), NOW)
    here = [*files(used, NOW), *files(idle), loose_now, loose]
    order = told(idle, used).order(here, NOW)
    assert order[0] == loose
    assert order[1:20] == [each for each in order[1:20] if each in files(idle)]
    assert order[20] == loose_now, "a fork of a moment ago is worth more than the middle of long ago"
    assert set(order[-2:]) == {file(idle.rungs[-1]), file(used.rungs[-1], NOW)}
    assert order[-1].used == NOW, "of tips the one used longest ago goes first"


def test_one_use_keeps_a_whole_conversation() -> None:
    """Its tip was read a minute ago, so that nobody wants to wait at its middle either."""
    one, other = line(1, 30), line(2, 30)
    here = [*files(one)[:-1], file(one.rungs[-1], NOW - 60), *files(other)]
    order = told(one, other).order(here, NOW)
    assert all(each.name.startswith("00000002") for each in order[:29])


def test_pinned_states_never_go_and_tips_told_apart_are_tips() -> None:
    one = line(1, 10, pinned=(key(1, 3), key(1, 9)))
    ladders = told(one)
    ladders.keep([key(1, 0), key(7, 7)])
    order = ladders.order([*files(one), file(key(7, 7))], NOW)
    assert not {3, 9} & set(places([each for each in order if each.name.startswith("00000001")]))
    assert {each.name for each in order[-2:]} == {file(key(1, 0)).name, file(key(7, 7)).name}


def test_a_branch_has_its_own_last_eight() -> None:
    """30 messages, then two branches of 10 from the 20th; in one of them nobody stands."""
    trunk = [key(1, n) for n in range(30)]
    branch = [key(1, 100 + n) for n in range(10)]
    parents = (*range(-1, 29), 19, *range(30, 39))
    tree = Ladder("1", (*trunk, *branch), parents, tips=(trunk[-1],))
    rungs = rungs_of(tree)
    assert rungs[trunk[-1][:32]].is_tip
    assert not rungs[branch[-1][:32]].is_tip
    assert [rungs[each[:32]].below for each in trunk[20:]] == list(range(9, -1, -1))
    assert rungs[trunk[19][:32]].below == 10, "the way to the tip counts, not the one to the end of a branch"
    assert [rungs[each[:32]].below for each in branch] == list(range(9, -1, -1))


def test_behind_a_tip_that_went_back_what_was_undone_is_near() -> None:
    one = line(1, 20, tips=(key(1, 15),))
    rungs = rungs_of(one)
    assert [rungs[key(1, n)[:32]].below for n in (15, 19, 16, 14, 7)] == [0, 0, 3, 1, 8]


def test_a_ladder_told_again_replaces_the_one_before() -> None:
    ladders = told(line(1, 20), line(1, 5))
    gone = ladders.order([file(key(1, 12)), *files(line(1, 5))], NOW)
    assert places(gone)[0] == 12, "nobody knows it any more"
    ladders.tell(Ladder("1"))
    assert places(ladders.order(files(line(1, 3)), NOW)) == [0, 1, 2]


def test_two_conversations_may_share_a_state() -> None:
    one, other = line(1, 10), Ladder("2", (*line(1, 3).rungs, key(2, 0)), (-1, 0, 1, 2), tips=(key(2, 0),))
    ladders = told(one, other)
    assert places(ladders.order(files(one), NOW))[-2:] == [8, 9], "of the other it is the last but one"
    ladders.tell(Ladder("2"))
    assert ladders.order(files(one), NOW) == told(one).order(files(one), NOW)


def test_thinning_leaves_the_last_eight_then_second_fourth_and_eighth() -> None:
    one = line(1, 64)
    here = [*files(one), file(key(9, 0)), file(key(9, 1), NOW)]
    spare = told(one).thinned(here, NOW)
    left = sorted({each.name for each in here} - {each.name for each in spare})
    ours = [int(name[8:32], 16) for name in left if name.startswith("00000001")]
    assert ours[-8:] == list(range(56, 64))
    assert [n for n in ours if 48 <= n < 56] == [49, 51, 53, 55]
    assert [n for n in ours if 32 <= n < 48] == [35, 39, 43, 47]
    assert [n for n in ours if n < 32] == [7, 15, 23, 31]
    assert [name for name in left if name.startswith("00000009")] == [file(key(9, 1)).name]


@given(st.data())
def test_whatever_the_tree_nothing_is_lost_or_told_twice(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 60))
    parents = tuple(data.draw(st.integers(-1, at - 1)) for at in range(count))
    rungs = tuple(key(1, n) for n in range(count))
    chosen = st.sets(st.sampled_from(rungs)).map(tuple)
    ladder = Ladder("1", rungs, parents, data.draw(chosen), data.draw(chosen))
    here = [file(each, data.draw(st.sampled_from((OLD, NOW)))) for each in rungs]
    order = told(ladder).order(here, NOW)
    pinned = {each[:32] for each in ladder.pinned}
    assert sorted(order) == sorted(each for each in here if each.short not in pinned)
    spare = told(ladder).thinned(here, NOW)
    safe = pinned | {each[:32] for each in ladder.tips}
    assert not safe & {each.short for each in spare}
