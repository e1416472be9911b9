"""How long answers usually take to begin: of the last ones, exactly, in bounded memory."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.pool.model import Account, Candidate, Origin
from asgi_ds2api.serving.patience import MAX_KINDS, MIN_SEEN, SHARE, WINDOW, Kind, Patience, Waits

ACCOUNT = Account(upstream="one", label="a", origin=Origin("https", "one.example", 443))


def kind(model: str = "m", operation: str = "generate", *, stream: bool = True) -> Kind:
    return Kind(Candidate(ACCOUNT, model), operation, stream)


@given(st.lists(st.floats(0, 600), max_size=3 * WINDOW))
def test_it_is_the_slowest_but_one_in_twenty_of_the_last_answers(seconds: list[float]) -> None:
    waits = Waits()
    for took_s in seconds:
        waits.add(took_s)
    last = sorted(seconds[-WINDOW:])
    expected = last[ceil(SHARE * len(last)) - 1] if len(last) >= MIN_SEEN else None
    assert waits.usual_s == expected
    assert (len(waits._by_age), len(waits._by_length)) == (len(last), len(last))


def test_of_too_few_answers_nothing_is_said() -> None:
    patience = Patience()
    for _ in range(MIN_SEEN - 1):
        patience.answered(kind(), 1)
    assert patience.with_(kind()) is None
    patience.answered(kind(), 1)
    assert patience.with_(kind()) == 1


def test_model_operation_and_form_of_an_answer_are_told_apart() -> None:
    patience = Patience()
    others = [kind("n"), kind(operation="count_tokens"), kind(stream=False)]
    for _ in range(MIN_SEEN):
        patience.answered(kind(), 1)
        for other in others:
            patience.answered(other, 9)
    assert [patience.with_(each) for each in (kind(), *others)] == [1, 9, 9, 9]


def test_names_that_callers_make_up_fill_no_memory() -> None:
    patience = Patience()
    for number in range(MAX_KINDS + 50):
        patience.answered(kind("kept"), 1)
        patience.answered(kind(f"m{number}"), 1)
    assert len(patience) == MAX_KINDS
    assert patience.with_(kind("kept")) == 1
    assert patience.with_(kind("never seen")) is None
    assert len(patience) == MAX_KINDS, "asking makes no room"


def test_what_is_overtaken_again_and_again_does_not_make_one_impatient() -> None:
    """Were only answers counted that were waited for, the slow ones would vanish, and others seem slow next."""
    patience = Patience()
    seconds = [float(number) for number in range(1, WINDOW + 1)]
    for took_s in seconds:
        patience.answered(kind(), took_s)
    for _ in range(20):
        for took_s in seconds:
            waits_s = patience.with_(kind())
            assert waits_s is not None
            if took_s > waits_s:
                patience.overtaken(kind(), waits_s + 0.1)
            else:
                patience.answered(kind(), took_s)
    assert patience.with_(kind()) == 95


def test_what_was_overtaken_while_it_was_quick_says_nothing() -> None:
    patience = Patience()
    patience.overtaken(kind(), 100)
    assert len(patience) == 0
    for _ in range(MIN_SEEN):
        patience.answered(kind(), 2)
    for _ in range(WINDOW):
        patience.overtaken(kind(), 1.9)
    assert patience.with_(kind()) == 2
