"""Where each promise of the README is held: the tests that fail when it is broken."""

import re
from collections.abc import Mapping

import pytest

from .pages import ROOT

HELD_BY: Mapping[int, tuple[str, ...]] = {
    1: ("tests/hosts/test_pass_through.py", "tests/hosts/test_hosts.py"),
    2: (
        "tests/conftest.py::_no_key_is_told",
        "tests/honesty/test_canary.py",
        "tests/test_secret.py",
        "tests/test_scrub.py",
        "tests/config/test_secrecy.py",
    ),
    3: ("tests/upstream/test_outbound.py", "tests/bad_input/test_steering.py"),
    4: ("tests/test_auth.py", "tests/bad_input/test_callers_keys.py", "tests/config/test_settling.py"),
    5: (
        "tests/honesty/test_cut_anywhere.py",
        "tests/honesty/test_cut_small_streams.py",
        "tests/faults/test_cuts.py",
        "tests/faults/test_whole_answers.py",
        "tests/conformance/test_messages_face.py::test_anthropic_C16_call_that_is_no_json_is_never_passed_off_as_another_one",
    ),
    6: (
        "tests/attempts/test_commit.py::test_failure_is_told_in_band_and_nobody_else_is_asked",
        "tests/attempts/test_failover.py::test_what_may_have_been_billed_or_is_the_callers_fault_is_asked_once",
        "tests/attempts/test_failover.py::test_silence_after_the_request_may_have_been_billed",
        "tests/conformance/test_gemini_ends.py::test_gemini_C27_malformed_call_is_asked_for_again_on_the_same_account",
        "tests/conformance/test_look_alikes_efforts.py::test_7_3_refused_call_is_asked_for_once_more",
        "tests/faults/test_hedging.py::test_F104_it_is_off_by_default_and_costs_nothing_then",
        "tests/conformance/test_fan_out.py",
        "tests/conformance/test_pauses.py::test_pause_that_is_not_resumed_is_told",
    ),
    7: ("tests/faults/test_a_thousand_leave.py", "tests/attempts/test_cancellation.py"),
    8: (
        "tests/faults/test_slow_callers.py::test_F78_upstream_is_read_again_only_when_the_caller_took_what_came",
        "tests/faults/test_slow_callers.py::test_F78_upstream_stops_where_the_caller_does_and_nobody_else_waits",
    ),
    9: (
        "tests/honesty/test_content.py",
        "tests/sdk/test_kept_answers.py",
        "tests/conformance/test_kept_reasoning.py::test_reasoning_is_kept_for_its_time_alone",
        "tests/conformance/test_kept_reasoning.py::test_another_caller_gets_nothing_of_it",
    ),
}
"""Number of a promise -> files of tests, or single ones in them."""


def test_each_promise_is_held() -> None:
    _, _, behind = (ROOT / "README.md").read_text().partition("## Promises\n")
    promises = re.findall(r"^(\d+)\. ", behind.partition("\n## ")[0], re.MULTILINE)
    assert [*HELD_BY] == [int(number) for number in promises]
    assert all(HELD_BY.values())


@pytest.mark.parametrize("test", [test for tests in HELD_BY.values() for test in tests])
def test_what_holds_it_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    names = re.findall(r"^(?:async )?def (\w+)", (ROOT / path).read_text(), re.MULTILINE)
    assert name in names if name else any(found.startswith("test_") for found in names)
