"""Every template byte for byte and token for token, in every think mode.

The ids are those of the World vocabulary. `PIECES` says which bytes each of them stands for, so that a row
can be checked by eye; a test holds the table against the vocabulary itself.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.prefix import extend
from engine.tokenizer import Tokenizer, load_tokenizer
from engine.types import TokenizerRef
from rwkv_chat import templates
from rwkv_chat.library.nodes import StoredNode
from rwkv_chat.session.chain import asking, code, settling
from rwkv_chat.session.manner import Manner
from rwkv_chat.session.memory import Memory
from rwkv_chat.session.wish import Wish
from rwkv_chat.transcript import ChatMessage, Node

PIECES = {
    11: "\n", 36: "#", 42: ")", 47: ".", 59: ":", 61: "<", 63: ">", 261: "\n\n", 275: " (", 295: " <",
    332: " a", 754: "</", 886: "Be", 1828: "do", 1922: "hi", 1956: "it", 2334: "yo", 3673: " Be",
    4419: " an", 4491: " do", 4571: " hi", 4600: " is", 4601: " it", 4881: " yo", 5201: "###",
    5439: "></", 5585: "Ass", 5641: "Bob", 5645: "Bot", 10060: "✿", 21214: " ```", 21365: " bit",
    22031: " lot", 22590: " the", 24281: "User", 26060: "json", 29956: " User", 31214: " kind",
    32202: " task", 32227: " that", 32890: "Alice", 32937: "Below", 33192: "Input", 35762: "think",
    36836: " Input", 37580: " Write", 39942: " think", 40301: "Answer", 40812: "System",
    41693: "istant", 44948: " System", 52723: " request", 53648: "Question", 53671: "Response",
    55292: " Response", 57119: " response", 58683: " Assistant", 59336: " completes",
    59489: " describes", 62994: "Instruction", 63185: " Instruction", 63654: " instruction",
    64829: " appropriately",
}  # fmt: skip

ASSISTANT = (5585, 41693, 59)
HI = (24281, 59, 4571)  # "User: hi"
BELOW = (
    *(32937, 4600, 4419, 63654, 32227, 59489, 332, 32202, 47),
    *(37580, 332, 57119, 32227, 64829, 59336, 22590, 52723, 47, 261),
)
BELOW_TEXT = """\
Below is an instruction that describes a task. Write a response that appropriately completes the request.\
"""

# template, think mode, what is asked first, its text, its ids (after the chain's first id)
FIRST = [
    ("classic", "none", "hi", "User: hi\n\nAssistant:", (*HI, 261, *ASSISTANT)),
    (
        *("classic", "fast", "hi", "User: hi\n\nAssistant: <think>\n</think"),
        (*HI, 261, *ASSISTANT, 295, 35762, 63, 11, 754, 35762),
    ),
    ("classic", "free", "hi", "User: hi\n\nAssistant: <think", (*HI, 261, *ASSISTANT, 295, 35762)),
    (
        *("classic", "bit", "hi", "User: hi (think a bit)\n\nAssistant: <think"),
        (*HI, 275, 35762, 332, 21365, 42, 261, *ASSISTANT, 295, 35762),
    ),
    (
        *("classic", "lot", "hi", "User: hi (think a lot)\n\nAssistant: <think"),
        (*HI, 275, 35762, 332, 22031, 42, 261, *ASSISTANT, 295, 35762),
    ),
    (
        *("classic-2025", "free", "hi", "User: hi think\n\nAssistant: <think"),
        (*HI, 39942, 261, *ASSISTANT, 295, 35762),
    ),
    ("bot", "none", "hi", "User✿hi✿\nBot✿", (24281, 10060, 1922, 10060, 11, 5645, 10060)),
    (
        *("bot", "free", "hi", "User✿hi✿\nBot✿<think"),
        (24281, 10060, 1922, 10060, 11, 5645, 10060, 61, 35762),
    ),
    (
        *("bot", "fast", "hi", "User✿hi✿\nBot✿<think></think"),
        (24281, 10060, 1922, 10060, 11, 5645, 10060, 61, 35762, 5439, 35762),
    ),
    ("world-v4", "none", "hi", "User: hi\n\nAssistant:", (*HI, 261, *ASSISTANT)),
    ("world-v4-qa", "none", "hi", "Question: hi\n\nAnswer:", (53648, 59, 4571, 261, 40301, 59)),
    ("raven", "none", "hi", "Bob: hi\n\nAlice:", (5641, 59, 4571, 261, 32890, 59)),
    (
        *("raven-instruct", "none", "hi", f"{BELOW_TEXT}\n\n# Instruction:\nhi\n\n# Response:\n"),
        (*BELOW, 36, 63185, 59, 11, 1922, 261, 36, 55292, 59, 11),
    ),
    (
        *("raven-instruct", "none", "do\n\nit"),
        f"{BELOW_TEXT}\n\n# Instruction:\ndo\n\n# Input:\nit\n\n# Response:\n",
        (*BELOW, 36, 63185, 59, 11, 1828, 261, 36, 36836, 59, 11, 1956, 261, 36, 55292, 59, 11),
    ),
    ("instruction", "none", "hi", "Instruction: hi\n\nResponse:", (62994, 59, 4571, 261, 53671, 59)),
    (
        *("instruction", "none", "do\n\nit", "Instruction: do\n\nInput: it\n\nResponse:"),
        (62994, 59, 4491, 261, 33192, 59, 4601, 261, 53671, 59),
    ),
    ("completion", "none", "hi", "hi", (1922,)),
    ("pile", "none", "hi", "\nhi", (11, 1922)),
    ("tools", "none", "hi", "### User\nhi\n### Assistant", (5201, 29956, 11, 1922, 11, 5201, 58683)),
    (
        *("tools", "free", "hi", "### User\nhi\n### Assistant\n<think"),
        (5201, 29956, 11, 1922, 11, 5201, 58683, 11, 61, 35762),
    ),
    (
        *("tools", "fast", "hi", "### User\nhi\n### Assistant\n<think></think"),
        (5201, 29956, 11, 1922, 11, 5201, 58683, 11, 61, 35762, 5439, 35762),
    ),
    ("classic-tools", "none", "hi", "User: hi\n\nAssistant:", (*HI, 261, *ASSISTANT)),
    (
        *("classic-tools", "call", "hi", "User: hi\n\nAssistant: ```json"),
        (*HI, 261, *ASSISTANT, 21214, 26060),
    ),
]

# template, the whole of a short conversation (system "Be kind" where there is one, "hi", "yo", "hi")
WHOLE = {
    "bot": "System✿Be kind✿\nUser✿hi✿\nBot✿yo✿\nUser✿hi✿\nBot✿",
    "classic": "System: Be kind\n\nUser: hi\n\nAssistant: yo\n\nUser: hi\n\nAssistant:",
    "classic-2025": "System: Be kind\n\nUser: hi\n\nAssistant: yo\n\nUser: hi\n\nAssistant:",
    "classic-tools": "System: Be kind\n\nUser: hi\n\nAssistant: yo\n\nUser: hi\n\nAssistant:",
    "completion": "Be kindhiyohi",
    "instruction": "Instruction: hi\n\nResponse: yo\n\nInstruction: hi\n\nResponse:",
    "pile": "\nBe kindhiyohi",
    "raven": "Be kind\n\nBob: hi\n\nAlice: yo\n\nBob: hi\n\nAlice:",
    "raven-instruct": BELOW_TEXT
    + "\n\n# Instruction:\nhi\n\n# Response:\nyo\n\n# Instruction:\nhi\n\n# Response:\n",
    "tools": "### System\nBe kind\n### User\nhi\n### Assistant\nyo\n### User\nhi\n### Assistant",
    "world-v4": "System: Be kind\n\nUser: hi\n\nAssistant: yo\n\nUser: hi\n\nAssistant:",
    "world-v4-qa": "Be kind\n\nQuestion: hi\n\nAnswer: yo\n\nQuestion: hi\n\nAnswer:",
}


def world() -> Tokenizer:
    return load_tokenizer(TokenizerRef())


def test_the_pieces_are_the_vocabulary_s() -> None:
    assert {each: world().token_bytes(each).decode() for each in PIECES} == PIECES


@pytest.mark.parametrize(
    ("name", "mode", "typed", "text", "ids"), FIRST, ids=[f"{row[0]}-{row[1]}-{len(row[2])}" for row in FIRST]
)
def test_a_first_turn(name: str, mode: str, typed: str, text: str, ids: tuple[int, ...]) -> None:
    template = templates.template(name)
    way = template.mode(mode)
    assert way.name == mode
    assert template.render("user", typed, first=True, mode=way) == text
    path = (StoredNode(Node("1", None, ChatMessage("user", typed))),)
    manner = Manner(template, world(), way, keep=False, coding="")
    coded = code(path, template, world(), 65536)
    asked = asking(coded, path, manner)
    assert asked.tokens == (0, *ids)
    assert "".join(PIECES[each] for each in ids) == text
    assert coded.tokens[: asked.fork] == asked.tokens[: asked.fork]


def test_every_template_and_mode_has_its_row() -> None:
    rows = {(name, mode) for name, mode, *_ in FIRST}
    all_of_them = {(name, mode.name) for name in templates.names() for mode in templates.template(name).modes}
    late_2025 = {("classic-2025", "none"), ("classic-2025", "fast")}  # as classic
    assert rows | late_2025 == all_of_them
    assert WHOLE.keys() == set(templates.names())


@pytest.mark.parametrize("name", templates.names())
def test_a_whole_conversation(name: str) -> None:
    template = templates.template(name)
    said = [("user", "hi"), ("assistant", "yo"), ("user", "hi")]
    if template.system:
        said.insert(0, ("system", "Be kind"))
    text = "".join(
        template.render(role, words, first=place == 0)  # pyright: ignore[reportArgumentType]
        for place, (role, words) in enumerate(said)
    )
    assert text == WHOLE[name]
    path = tuple(
        StoredNode(Node(str(place), None, ChatMessage(role, words)))  # pyright: ignore[reportArgumentType]
        for place, (role, words) in enumerate(said)
    )
    ids = code(path, template, world(), 65536).tokens
    assert ids[0] == 0
    assert world().decode_bytes(ids[1:]).decode() == text


@pytest.mark.parametrize("name", templates.names())
def test_no_prompt_ends_in_space_and_no_tail_in_a_mark_s_last_letter(name: str) -> None:
    """A line's end only where the model was trained with one."""
    template = templates.template(name)
    for mode in template.modes:
        asked = template.render("user", "hi", first=False, mode=mode)
        assert asked == asked.rstrip(" \t")
        assert not asked.endswith(">")
        assert (asked != asked.rstrip("\n")) == (name == "raven-instruct")


CLEANED = [
    ("classic", "user", " a\r\n\r\n\r\nb \n", "a\nb"),
    ("classic", "assistant", "a\n\nb", "a\nb"),
    ("classic", "system", "a\n\n\nb", "a\nb"),
    ("bot", "user", "  a \t\r\n \t\r\nb  \n\n", "  a\nb"),
    ("bot", "user", "\n\n a", " a"),
    ("bot", "assistant", "a\n\n  b \n\n", "a\n\n  b"),
    ("bot", "system", "a  \r\n\r\nb ", "a  \n\nb"),
    ("tools", "user", "a \n\n\nb", "a\nb"),
    ("tools", "assistant", "a\n\nb\n", "a\n\nb"),
    ("completion", "user", " a\r\n\r\nb ", " a\n\nb "),
    ("pile", "user", "\n\na ", "\n\na "),
]


@pytest.mark.parametrize(("name", "role", "typed", "fed"), CLEANED)
def test_cleaning_by_generation(name: str, role, typed: str, fed: str) -> None:
    assert templates.template(name).clean(typed, role) == fed


def test_braces_in_a_message_stay() -> None:
    for name in templates.names():
        asked = templates.template(name).render("user", "{input} {text}\n\n{input}{text}", first=True)
        assert asked.count("{input}") == 2
        assert asked.count("{text}") == 2


MESSAGES = st.text(alphabet=st.sampled_from("ab 。，…\n\t(>✿:é漢1<"), min_size=1, max_size=24).filter(
    str.strip
)
WAYS = [(name, mode.name) for name in templates.names() for mode in templates.template(name).modes]


@given(MESSAGES, MESSAGES, st.sampled_from(WAYS), st.booleans(), st.booleans())
def test_whatever_is_said_the_detour_parts_where_it_says_and_is_left_again(
    one: str, two: str, way: tuple[str, str], keep: bool, again: bool
) -> None:
    template = templates.template(way[0])
    manner = Manner(template, world(), template.mode(way[1]), keep, "")
    said = (ChatMessage("user", one), ChatMessage("assistant", "yo"), ChatMessage("user", two))
    path = tuple(StoredNode(Node(str(place), None, each)) for place, each in enumerate(said))
    coded = code(path, template, world(), 65536)
    asked = asking(coded, path, manner, Wish(again=again))
    detour = template.render("user", two, first=False, mode=manner.mode)
    assert world().decode_bytes(asked.tokens).decode().endswith(detour)
    fork = asked.fork or len(coded.tokens)
    assert asked.tokens[:fork] == coded.tokens[:fork]
    assert fork >= len(coded.tokens) - coded.tip
    assert asked.start == extend(asked.tokens[: asked.known])
    drawn = world().encode(">so</think> yes")
    kept = Memory(manner, asked).whole(drawn, "so", "yes")
    remembered = settling(coded, asked, kept)
    assert (*remembered.history, *remembered.prompt) == (*coded.tokens, *kept)
    if keep:
        assert world().decode_bytes(kept).decode() == manner.mode.tail + ">so</think> yes"
    else:
        assert world().decode_bytes(kept).decode() == template.render("assistant", "yes", first=False)
