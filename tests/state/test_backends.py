"""What every place must do in which several processes keep their state: the same cases over each of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from asgi_ds2api.pool.health import SHUT_S
from asgi_ds2api.secret import Secret
from asgi_ds2api.state.backend import SMALL_FACT_BYTES, Backend, CooldownNews, FactNews, Granted
from asgi_ds2api.state.contract import (
    Admission,
    Amount,
    Cooldown,
    HealthScope,
    NotAdmitted,
    Probe,
    SharedSlot,
    next_era,
)
from asgi_ds2api.state.redis import RedisBackend
from asgi_ds2api.state.sqlite import SQLiteBackend
from tests.support.redis_server import RedisServer

ACCOUNT = HealthScope("account", "openai/a")
MODEL = HealthScope("model", "openai/a", "gpt-5")
ME, OTHER = "me", "other"
LEASE_S = 30.0

Make = Callable[[], Backend]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Return what makes backends that share one place."""
    made: list[Backend] = []
    if request.param == "redis":
        url = Secret(request.getfixturevalue("server").url)

        def fresh() -> Backend:
            return RedisBackend(url, pool=str(tmp_path))
    else:

        def fresh() -> Backend:
            return SQLiteBackend(tmp_path / "state.sqlite")

    def make() -> Backend:
        backend = fresh()
        backend.open()
        made.append(backend)
        return backend

    yield make
    for backend in made:
        backend.close()


@pytest.fixture
def backend(place: Make) -> Backend:
    return place()


def cooling(until: float, epoch: int = 1) -> Cooldown:
    return Cooldown(state="cooling", until=until, epoch=epoch, ejections=1, reason="rate_limited")


def healthy(until: float) -> Cooldown:
    return Cooldown(state="healthy", until=until, epoch=1)


def counted(amount: float, limit: float = 100) -> Amount:
    return Amount(name="caller bob day", amount=amount, limit=limit, life_s=86_400)


def paced(amount: float, limit: float = 60) -> Amount:
    return Amount(name="caller bob rpm", amount=amount, limit=limit, life_s=60, is_paced=True)


def slot(holder: str, limit: int = 2) -> Admission:
    return Admission(holder=holder, slots=(SharedSlot("account openai/a", limit),))


def probe(holder: str, epoch: int = 1) -> Admission:
    return Admission(holder=holder, probes=(Probe(ACCOUNT, epoch),))


def admit(backend: Backend, admission: Admission, lease_s: float) -> NotAdmitted | Granted:
    """Ask for one admission."""
    (answer,) = backend.admit([admission], lease_s, token_hex(8))
    return answer


def find(backend: Backend, table: str, key: str) -> tuple[bytes, float] | None:
    """Look one fact up."""
    return backend.find(table, [key]).get(key)


# --- news -------------------------------------------------------------------------------------------------------------


def test_others_hear_of_a_cooldown_and_the_writer_does_not(place: Make) -> None:
    one, two = place(), place()
    (mine, _), (theirs, _) = one.read(ME, ""), two.read(OTHER, "")
    one.write(ME, [CooldownNews(ACCOUNT, cooling(60)), CooldownNews(MODEL, cooling(9))])
    _, heard = two.read(OTHER, theirs)
    assert list(one.read(ME, mine)[1]) == []
    assert {news.scope for news in heard if isinstance(news, CooldownNews)} == {ACCOUNT, MODEL}


def test_the_end_of_a_cooldown_crosses_as_a_duration(place: Make) -> None:
    one, two = place(), place()
    one.write(ME, [CooldownNews(ACCOUNT, cooling(60))])
    (news,) = two.read(OTHER, "")[1]
    assert isinstance(news, CooldownNews)
    assert news.entry.until == pytest.approx(60, abs=5)


def test_cooldowns_of_two_writers_are_merged(place: Make) -> None:
    one, two = place(), place()
    one.write(ME, [CooldownNews(ACCOUNT, cooling(60, epoch=1))])
    two.write(OTHER, [CooldownNews(ACCOUNT, cooling(7, epoch=2))])
    (news,) = place().read("third", "")[1]
    assert isinstance(news, CooldownNews)
    assert (news.entry.epoch, news.entry.until > 50) == (2, True)


def test_an_operator_s_word_shortens_what_others_wrote(place: Make) -> None:
    one, two = place(), place()
    one.write(ME, [CooldownNews(ACCOUNT, cooling(600, epoch=7))])
    two.write(OTHER, [CooldownNews(ACCOUNT, Cooldown(state="healthy", until=0.0, epoch=next_era(7)))])
    one.write(ME, [CooldownNews(ACCOUNT, cooling(900, epoch=8))])
    (news,) = place().read("third", "")[1]
    assert isinstance(news, CooldownNews)
    assert (news.entry.state, news.entry.epoch, news.entry.until <= 0) == ("healthy", next_era(7), True)


@pytest.mark.parametrize("is_shut_first", [True, False])
def test_of_two_words_of_operators_in_one_era_the_one_that_closes_holds(place: Make, is_shut_first: bool) -> None:
    shut = Cooldown(state="disabled", until=SHUT_S, epoch=next_era(0), reason="operator")
    words = [shut, Cooldown(state="healthy", until=0.0, epoch=next_era(0))]
    for writer, word in zip((ME, OTHER), words if is_shut_first else words[::-1], strict=True):
        place().write(writer, [CooldownNews(ACCOUNT, word)])
    (news,) = place().read("third", "")[1]
    assert isinstance(news, CooldownNews)
    assert (news.entry.state, news.entry.reason) == ("disabled", "operator")


def test_what_an_operator_shut_is_remembered_for_as_long_as_that_takes(place: Make) -> None:
    one = place()
    entry = Cooldown(state="disabled", until=SHUT_S, epoch=next_era(0), reason="operator")
    one.write(ME, [CooldownNews(ACCOUNT, entry)])
    (news,) = place().read("third", "")[1]
    assert isinstance(news, CooldownNews)
    assert news.entry.until == pytest.approx(SHUT_S, abs=60)
    assert news.entry.reason == "operator"


def test_news_are_heard_once(place: Make) -> None:
    one, two = place(), place()
    cursor, nothing = two.read(OTHER, "")
    one.write(ME, [CooldownNews(ACCOUNT, cooling(60))])
    cursor, heard = two.read(OTHER, cursor)
    assert (list(nothing), len(heard), list(two.read(OTHER, cursor)[1])) == ([], 1, [])


@pytest.mark.parametrize("until", [30, 900])
def test_who_writes_less_than_is_known_hears_what_is_known(place: Make, until: float) -> None:
    one, two = place(), place()
    cursor, _ = one.read(ME, "")
    two.write(OTHER, [CooldownNews(ACCOUNT, healthy(60))])
    one.write(ME, [CooldownNews(ACCOUNT, cooling(until))])
    (*_, last) = one.read(ME, cursor)[1]
    assert isinstance(last, CooldownNews)
    assert last.entry.state == "healthy"
    assert last.entry.until == pytest.approx(max(60, until), abs=5)


def test_what_was_written_is_news_also_if_another_wrote_less_since(place: Make) -> None:
    one, two, three = place(), place(), place()
    cursor, _ = three.read("third", "")
    one.write(ME, [CooldownNews(ACCOUNT, healthy(60))])
    two.write(OTHER, [CooldownNews(ACCOUNT, cooling(30))])
    _, heard = three.read("third", cursor)
    assert [news.entry.state for news in heard if isinstance(news, CooldownNews)] == ["healthy"]


def test_small_facts_are_news_and_of_large_ones_that_what_was_known_is_no_more(place: Make) -> None:
    one, two = place(), place()
    large = b"x" * (SMALL_FACT_BYTES + 1)
    cursor, _ = two.read(OTHER, "")
    one.write(ME, [FactNews("pins", "k", b"openai/a", 60), FactNews("answers", "k", large, 60)])
    facts = [news for news in two.read(OTHER, cursor)[1] if isinstance(news, FactNews)]
    found = find(two, "answers", "k")
    heard = {(news.table, news.value, news.ttl_s > 0) for news in facts}
    assert heard == {("pins", b"openai/a", True), ("answers", b"", False)}
    assert found is not None
    assert found[0] == large
    assert found[1] == pytest.approx(60, abs=5)


def test_what_another_wrote_of_a_fact_is_no_news_to_who_wrote_it_since(place: Make) -> None:
    one, two = place(), place()
    cursor, _ = one.read(ME, "")
    two.write(OTHER, [FactNews("pins", "k", b"openai/a", 60), FactNews("pins", "other", b"openai/a", 60)])
    one.write(ME, [FactNews("pins", "k", b"openai/b", 60)])
    assert [news.key for news in one.read(ME, cursor)[1] if isinstance(news, FactNews)] == ["other"]


def test_a_fact_that_is_forgotten_is_forgotten_by_all(place: Make) -> None:
    one, two = place(), place()
    one.write(ME, [FactNews("pins", "k", b"openai/a", 60)])
    cursor, _ = two.read(OTHER, "")
    one.write(ME, [FactNews("pins", "k", b"", 0)])
    (news,) = two.read(OTHER, cursor)[1]
    assert isinstance(news, FactNews)
    assert (news.ttl_s <= 0, find(two, "pins", "k")) == (True, None)


def test_several_facts_are_looked_up_at_once(place: Make) -> None:
    one = place()
    one.write(ME, [FactNews("answers", "a", b"1", 60), FactNews("answers", "b", b"2", 60)])
    assert {key: value for key, (value, _) in one.find("answers", ["a", "x", "b"]).items()} == {"a": b"1", "b": b"2"}


def test_keys_are_data(place: Make) -> None:
    one = place()
    one.write(
        ME, [FactNews("a", "b:c", b"1", 60), FactNews("a:b", "c", b"2", 60), FactNews("a", "'; --\x00é", b"3", 60)]
    )
    found = [find(one, "a", "b:c"), find(one, "a:b", "c"), find(one, "a", "'; --\x00é")]
    assert [fact and fact[0] for fact in found] == [b"1", b"2", b"3"]


# --- slots and amounts ------------------------------------------------------------------------------------------------


def test_slots_are_bounded_over_all(place: Make) -> None:
    one, two = place(), place()
    answers = [admit(one, slot("a"), LEASE_S), admit(two, slot("b"), LEASE_S), admit(one, slot("c"), LEASE_S)]
    assert [isinstance(answer, Granted) for answer in answers] == [True, True, False]
    two.leave({"b": ["account openai/a"]})
    assert isinstance(admit(one, slot("c"), LEASE_S), Granted)


def test_F113_a_slot_is_lost_when_its_holder_dies(backend: Backend) -> None:
    admit(backend, slot("a", 1), 0.0)
    assert isinstance(admit(backend, slot("b", 1), LEASE_S), Granted)


def test_F113_a_probe_is_lost_when_its_holder_dies(backend: Backend) -> None:
    backend.write(ME, [CooldownNews(ACCOUNT, cooling(-0.001))])
    answers = [
        admit(backend, probe("a"), 0.0),
        admit(backend, probe("b"), LEASE_S),
        admit(backend, probe("c"), LEASE_S),
    ]
    assert [isinstance(answer, Granted) for answer in answers] == [True, True, False]


def test_what_is_renewed_is_kept(backend: Backend) -> None:
    admit(backend, slot("a", 1), LEASE_S)
    backend.renew({"a": ["account openai/a"]}, LEASE_S)
    assert isinstance(admit(backend, slot("b", 1), LEASE_S), NotAdmitted)


def test_what_was_lost_stays_lost(backend: Backend) -> None:
    admit(backend, slot("a", 1), 0.0)
    backend.renew({"a": ["account openai/a"], "never": ["account openai/a"]}, LEASE_S)
    assert isinstance(admit(backend, slot("b", 1), LEASE_S), Granted)


def test_F115_one_of_many_may_probe(place: Make) -> None:
    many = [place() for _ in range(5)]
    many[0].write(ME, [CooldownNews(ACCOUNT, cooling(-0.001))])
    answers = [admit(one, probe(str(number)), LEASE_S) for number, one in enumerate(many)]
    assert [isinstance(answer, Granted) for answer in answers] == [True, False, False, False, False]


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(cooling(30, epoch=2), id="somebody probed, and it failed"),
        pytest.param(healthy(-1), id="somebody probed, and it is open"),
        pytest.param(cooling(30), id="its pause was lengthened"),
    ],
)
def test_who_has_old_news_may_not_probe(backend: Backend, entry: Cooldown) -> None:
    backend.write(ME, [CooldownNews(ACCOUNT, entry)])
    assert admit(backend, probe("a"), LEASE_S) == NotAdmitted("account openai/a", 1.0)


def test_F115_a_probe_whose_answer_goes_on_keeps_nobody_from_the_next_closing(place: Make) -> None:
    one, two = place(), place()
    one.write(ME, [CooldownNews(ACCOUNT, cooling(-1, epoch=1))])
    assert isinstance(admit(one, probe("a long stream", epoch=1), LEASE_S), Granted)
    one.write(ME, [CooldownNews(ACCOUNT, healthy(-1))])
    one.write(ME, [CooldownNews(ACCOUNT, cooling(-1, epoch=2))])
    answers = [admit(two, probe(holder, epoch=2), LEASE_S) for holder in "bc"]
    assert [isinstance(answer, Granted) for answer in answers] == [True, False]


def test_what_nobody_knows_may_be_probed(backend: Backend) -> None:
    assert isinstance(admit(backend, probe("a"), LEASE_S), Granted)


def test_a_counted_limit_holds_over_all(place: Make) -> None:
    one, two = place(), place()
    first = admit(one, Admission(holder="a", amounts=(counted(60),)), LEASE_S)
    second = admit(two, Admission(holder="b", amounts=(counted(60),)), LEASE_S)
    assert first == Granted((60.0,))
    assert isinstance(second, NotAdmitted)
    assert second.wait_s == pytest.approx(86_400, abs=60)


def test_what_was_not_used_is_given_back(place: Make) -> None:
    one, two = place(), place()
    admit(one, Admission(holder="a", amounts=(counted(100),)), LEASE_S)
    one.add([counted(-30)], "1")
    assert admit(two, Admission(holder="b", amounts=(counted(30),)), LEASE_S) == Granted((100.0,))


def test_a_paced_limit_holds_over_all(place: Make) -> None:
    places = [place(), place()]
    answers = [admit(places[n % 2], Admission(holder=str(n), amounts=(paced(20),)), LEASE_S) for n in range(4)]
    assert [isinstance(answer, Granted) for answer in answers] == [True, True, True, False]
    refused = answers[-1]
    assert isinstance(refused, NotAdmitted)
    assert 0 < refused.wait_s <= 20


def test_a_paced_limit_passes_alone_what_is_larger(backend: Backend) -> None:
    assert isinstance(admit(backend, Admission(holder="a", amounts=(paced(500),)), LEASE_S), Granted)
    assert isinstance(admit(backend, Admission(holder="a", amounts=(paced(1),)), LEASE_S), NotAdmitted)


@pytest.mark.parametrize("limit", [0, -1])
def test_of_a_limit_of_nothing_nothing_passes(backend: Backend, limit: float) -> None:
    for number, amount in enumerate((paced(1, limit), counted(1, limit))):
        backend.add([amount], f"added {number}")
        refused = admit(backend, Admission(holder="a", amounts=(amount,)), LEASE_S)
        assert isinstance(refused, NotAdmitted)
        assert refused.wait_s == pytest.approx(amount.life_s)


def test_all_is_taken_or_nothing(backend: Backend) -> None:
    admit(backend, Admission(holder="x", amounts=(counted(100),)), LEASE_S)
    both = Admission(holder="a", slots=(SharedSlot("s", 1),), amounts=(paced(10), counted(1)))
    assert isinstance(admit(backend, both, LEASE_S), NotAdmitted)
    rest = admit(backend, Admission(holder="b", slots=(SharedSlot("s", 1),), amounts=(paced(10),)), LEASE_S)
    assert isinstance(rest, Granted)
    assert rest.used[0] == pytest.approx(10, abs=0.5)


BOTH = Admission(holder="a", slots=(SharedSlot("s", 1),), amounts=(counted(60), paced(60)))
AGAIN = Admission(holder="b", slots=(SharedSlot("s", 1),), amounts=(counted(60), paced(60)))


def test_R_45_what_nobody_heard_of_is_taken_back(place: Make) -> None:
    one, two = place(), place()
    assert isinstance(one.admit([BOTH], LEASE_S, "1")[0], Granted)
    one.undo([BOTH], "1")
    assert isinstance(admit(two, AGAIN, LEASE_S), Granted)


def test_R_45_what_is_taken_back_twice_is_taken_back_once(backend: Backend) -> None:
    backend.admit([BOTH], LEASE_S, "1")
    admit(backend, Admission(holder="b", amounts=(counted(20),)), LEASE_S)
    backend.undo([BOTH], "1")
    backend.undo([BOTH], "1")
    assert admit(backend, Admission(holder="c", amounts=(counted(0),)), LEASE_S) == Granted((20.0,))


def test_R_45_what_is_taken_back_before_it_came_takes_nothing(place: Make) -> None:
    one, two = place(), place()
    two.undo([BOTH, slot("x")], "1")
    assert [isinstance(answer, NotAdmitted) for answer in one.admit([BOTH, slot("x")], LEASE_S, "1")] == [True, True]
    assert isinstance(admit(two, AGAIN, LEASE_S), Granted)


def test_R_45_what_was_refused_is_not_taken_back(backend: Backend) -> None:
    admit(backend, Admission(holder="x", amounts=(counted(50),)), LEASE_S)
    asked = [BOTH, Admission(holder="c", amounts=(counted(10),))]
    answers = backend.admit(asked, LEASE_S, "1")
    assert [isinstance(answer, Granted) for answer in answers] == [False, True]
    backend.undo(asked, "1")
    assert admit(backend, Admission(holder="d", amounts=(counted(0),)), LEASE_S) == Granted((50.0,))


def test_R_45_what_is_added_twice_under_one_name_counts_once(place: Make) -> None:
    one, two = place(), place()
    one.add([counted(50)], "1")
    two.add([counted(50)], "1")
    one.add([counted(-20)], "2")
    one.add([counted(-20)], "2")
    assert admit(two, Admission(holder="a", amounts=(counted(0),)), LEASE_S) == Granted((30.0,))


def test_several_are_judged_one_after_the_other(backend: Backend) -> None:
    answers = backend.admit(
        [slot("a"), slot("b"), slot("c"), Admission(holder="d", amounts=(counted(5),))], LEASE_S, "1"
    )
    assert [isinstance(answer, Granted) for answer in answers] == [True, True, False, True]


def test_what_is_kept_outlives_who_wrote_it(place: Make) -> None:
    one = place()
    one.write(ME, [FactNews("answers", "k", b"v", 60), CooldownNews(ACCOUNT, cooling(60))])
    admit(one, Admission(holder="a", amounts=(counted(100),)), LEASE_S)
    one.close()
    two = place()
    assert find(two, "answers", "k") is not None
    assert len(two.read(OTHER, "")[1]) == 1
    assert isinstance(admit(two, Admission(holder="b", amounts=(counted(1),)), LEASE_S), NotAdmitted)
