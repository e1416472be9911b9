"""Which headers pass, and what their numbers mean: tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ds2api.errors import (
    GatewayError,
    MalformedRequest,
    Overloaded,
    PoolExhausted,
    QuotaExhausted,
    RateLimited,
    Refused,
)
from asgi_ds2api.headers import (
    CODEX,
    MAX_RELAYED,
    MAX_VALUE_BYTES,
    RateWindow,
    forwarded_headers,
    http_date,
    patience_s,
    rate_windows,
    read_headers,
    relayed_headers,
    request_id_from,
    reset_s,
    retry_after_s,
    retry_headers,
    round_up,
)

NOW_S = 1_795_564_800.0
"""Wed, 25 Nov 2026 00:00:00 GMT."""


class TestRequestHeaders:
    @pytest.mark.parametrize(
        "name",
        [
            pytest.param(b"cookie", id="B36-cookie"),
            pytest.param(b"authorization", id="B36-authorization"),
            pytest.param(b"x-api-key", id="B36-x-api-key"),
            pytest.param(b"x-forwarded-for", id="B36-x-forwarded-for"),
            pytest.param(b"host", id="B36-host"),
            pytest.param(b"connection", id="B36-connection"),
            pytest.param(b"openai-organization", id="B36-openai-organization"),
            pytest.param(b"openai-project", id="B36-openai-project"),
            pytest.param(b"x-portkey-custom-host", id="B33-x-portkey-custom-host"),
            pytest.param(b"x-base-url", id="B33-x-base-url"),
            pytest.param(b"x_api_key", id="B77-x_api_key"),
            pytest.param(b"anthropic_beta", id="B77-anthropic_beta"),
        ],
    )
    def test_headers_that_are_not_on_the_list_are_not_even_read(self, name: bytes) -> None:
        assert read_headers([(name, b"value")]) == {}

    def test_what_is_forwarded_is_a_part_of_what_is_read_B36(self) -> None:
        read = read_headers(
            [
                (b"anthropic-beta", b"a-2025-01-01"),
                (b"anthropic-version", b"2023-06-01"),
                (b"user-agent", b"claude-cli/2.1"),
                (b"session-id", b"s1"),
                (b"idempotency-key", b"k"),
            ]
        )
        assert forwarded_headers(read) == {
            "anthropic-beta": "a-2025-01-01",
            "anthropic-version": "2023-06-01",
            "idempotency-key": "k",
        }
        assert read["session-id"] == "s1"
        assert forwarded_headers(read, CODEX)["session-id"] == "s1"

    def test_what_only_codex_means_may_be_odd_and_is_left_out_then(self) -> None:
        assert read_headers([(b"x-codex-turn-state", b"a\nb"), (b"session-id", b"s1")]) == {"session-id": "s1"}

    def test_a_list_that_came_in_several_lines_is_joined(self) -> None:
        raw = [(b"anthropic-beta", b"a,b"), (b"anthropic-beta", b"c"), (b"anthropic-beta", b"a,b")]
        assert read_headers(raw) == {"anthropic-beta": "a,b, c"}

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(b"a\r\nx-evil: 1", id="B37-crlf"),
            pytest.param(b"a\nb", id="B37-lf"),
            pytest.param(b"a\x00b", id="B37-nul"),
            pytest.param("é".encode(), id="B37-utf-8"),
            pytest.param(b"\xff", id="B37-latin-1"),
            pytest.param(b"", id="B37-empty"),
            pytest.param(b"x" * (MAX_VALUE_BYTES + 1), id="B36-too-long"),
        ],
    )
    def test_a_value_that_cannot_be_forwarded_is_refused_and_one_that_is_only_read_is_left_out(
        self, value: bytes
    ) -> None:
        with pytest.raises(MalformedRequest) as caught:
            read_headers([(b"anthropic-beta", value)])
        assert caught.value.code == "invalid_header"
        assert "evil" not in caught.value.message
        assert read_headers([(b"user-agent", value)]) == {}

    def test_a_value_of_the_limit_passes_B36(self) -> None:
        assert read_headers([(b"openai-beta", b"x" * MAX_VALUE_BYTES)]) == {"openai-beta": "x" * MAX_VALUE_BYTES}

    @pytest.mark.parametrize(
        ("value", "is_accepted"),
        [
            pytest.param("req_0af-9.Z", True, id="B38-plain"),
            pytest.param("x" * 128, True, id="B38-128"),
            pytest.param("x" * 129, False, id="B38-129"),
            pytest.param("x" * 10_240, False, id="B38-10-KB"),
            pytest.param("a\rb", False, id="B38-cr"),
            pytest.param("abc\n", False, id="B38-final-lf"),
            pytest.param('a"b', False, id="B38-quote"),
            pytest.param("${jndi:ldap://x}", False, id="B38-jndi"),
            pytest.param("", False, id="B38-empty"),
            pytest.param("é", False, id="B38-non-ascii"),
            pytest.param("٣", False, id="B38-foreign-digit"),
            pytest.param(None, False, id="B38-absent"),
        ],
    )
    def test_a_request_id_is_accepted_or_replaced(self, value: str | None, is_accepted: bool) -> None:
        assert request_id_from(value) == (value if is_accepted else None)


class TestResponseHeaders:
    def test_only_the_list_passes_F20(self) -> None:
        head = [
            (b"content-type", b"application/json"),
            (b"content-length", b"12"),
            (b"content-encoding", b"gzip"),
            (b"transfer-encoding", b"chunked"),
            (b"keep-alive", b"timeout=5"),
            (b"set-cookie", b"__cf_bm=secret"),
            (b"location", b"http://169.254.169.254"),
            (b"server", b"cloudflare"),
            (b"cf-ray", b"1"),
            (b"openai-organization", b"org-secret"),
            (b"anthropic-organization-id", b"org-secret"),
            (b"x-request-id", b"req_1"),
            (b"request-id", b"req_2"),
            (b"x-ratelimit-remaining-requests", b"9"),
            (b"anthropic-ratelimit-unified-5h-status", b"allowed"),
            (b"retry-after", b"7"),
            (b"retry-after-ms", b"7000"),
        ]
        passed = [b"content-type", b"x-request-id", b"request-id", b"x-ratelimit-remaining-requests"]
        passed += [b"anthropic-ratelimit-unified-5h-status", b"retry-after", b"retry-after-ms"]
        assert passed == [name for name, _ in relayed_headers(head)]

    @pytest.mark.parametrize("connection", [b"x-request-id", b"close, X-Request-Id", b"x-foo,x-request-id ,y"])
    def test_what_connection_names_is_for_one_hop_F20(self, connection: bytes) -> None:
        head = [(b"x-request-id", b"req_1"), (b"connection", connection), (b"retry-after", b"7")]
        assert relayed_headers(head) == [(b"retry-after", b"7")]

    def test_the_first_of_equal_names_passes_F20(self) -> None:
        assert relayed_headers([(b"retry-after", b"7"), (b"retry-after", b"8")]) == [(b"retry-after", b"7")]

    def test_thousands_of_headers_do_not_pass_F20(self) -> None:
        assert len(relayed_headers([(b"x-ratelimit-%d" % n, b"1") for n in range(8_000)])) == MAX_RELAYED

    @pytest.mark.parametrize("value", [b"a\r\nb", b"\x00", b"\xff", b"", b"x" * 1_025])
    def test_a_value_that_is_not_printable_does_not_pass_F20(self, value: bytes) -> None:
        assert relayed_headers([(b"x-request-id", value)]) == []


RETRY_AFTER = [
    pytest.param("7", 7.0, id="F23-seconds"),
    pytest.param("0", 0.0, id="F23-zero"),
    pytest.param("1.5", 1.5, id="F23-fraction"),
    pytest.param(" 7\t", 7.0, id="F23-white-space"),
    pytest.param("Wed, 25 Nov 2026 00:00:10 GMT", 10.0, id="F24-imf-date"),
    pytest.param("Wednesday, 25-Nov-26 00:00:10 GMT", 10.0, id="F24-rfc-850-date"),
    pytest.param("Wed Nov 25 00:00:10 2026", 10.0, id="F24-asctime-date"),
    pytest.param("Wed, 25 Nov 2026 00:00:10 -0000", 10.0, id="M17-naive-date"),
    pytest.param("Wed, 25 Nov 2026 01:00:10 +0100", 10.0, id="M17-zone"),
    pytest.param("Tue, 24 Nov 2026 00:00:00 GMT", 0.0, id="F24-past"),
    pytest.param("Thu, 26 Nov 2026 00:00:00 GMT", 3600.0, id="F24-far"),
    pytest.param("Wed, 32 Nov 2026 00:00:10 GMT", None, id="F24-no-such-day"),
    pytest.param("Wed, 25 Nov 2026 00:00:10 +9999999999", None, id="F24-no-such-zone"),
    pytest.param("Wed, 25 Nov 99999 00:00:10 GMT", None, id="F24-no-such-year"),
    pytest.param("Wed, 25 Nov 2026 00:00:10 GMT" + " " * 64, None, id="F24-too-long"),
    pytest.param("999999999", 3600.0, id="F28-clamped"),
    pytest.param("9999999999", None, id="F28-ten-digits"),
    pytest.param("1e20", None, id="F28-exponent"),
    pytest.param("-5", None, id="F28-negative"),
    pytest.param("+5", None, id="F28-sign"),
    pytest.param("nan", None, id="F28-nan"),
    pytest.param("inf", None, id="F28-inf"),
    pytest.param("٣", None, id="F28-foreign-digit"),
    pytest.param("1, 2", None, id="F28-list"),
    pytest.param("0x10", None, id="F28-hex"),
    pytest.param("1_000", None, id="F28-underscore"),
    pytest.param("7s", None, id="F28-unit"),
    pytest.param("1.2345678", None, id="F28-seven-decimals"),
    pytest.param("", None, id="F28-empty"),
    pytest.param("soon", None, id="F28-word"),
    pytest.param("9" * 100_000, None, id="F28-huge"),
]


PATIENCE = [
    pytest.param({}, False, None, id="nothing"),
    pytest.param({"x-stainless-timeout": "30"}, True, 30.0, id="stainless"),
    pytest.param({"x-request-timeout": "2.5", "x-stainless-timeout": "30"}, True, 2.5, id="the-least"),
    pytest.param({"x-server-timeout": "8"}, False, 8.0, id="google"),
    pytest.param({"x-stainless-read-timeout": "30.0"}, False, 30.0, id="between-bytes-of-a-whole-answer"),
    pytest.param({"x-stainless-read-timeout": "30.0"}, True, None, id="between-bytes-of-a-stream"),
    *[
        pytest.param({"x-request-timeout": value}, False, None, id=f"odd-{value}")
        for value in ("", "0", "0.0", "-1", "1e3", "nan", "None", "soon", "10, 20", "٣", "9" * 30)
    ],
]


@pytest.mark.parametrize(("headers", "stream", "expected"), PATIENCE)
def test_patience_of_a_caller_is_read_strictly(headers: dict[str, str], stream: bool, expected: float | None) -> None:
    assert patience_s(headers, stream=stream) == expected


class TestRetryAfter:
    @pytest.mark.parametrize(("value", "expected"), RETRY_AFTER)
    def test_a_hint_is_read_strictly_and_clamped(self, value: str, expected: float | None) -> None:
        assert expected == retry_after_s({"retry-after": value}, NOW_S)

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            pytest.param({"retry-after-ms": "250", "retry-after": "7"}, 0.25, id="F25-ms-wins"),
            pytest.param({"retry-after-ms": "soon", "retry-after": "7"}, 7.0, id="F25-ms-unreadable"),
            pytest.param({"retry-after-ms": "999999999"}, 3600.0, id="F25-clamped"),
            pytest.param({"retry-after-ms": "Wed, 25 Nov 2026 00:00:10 GMT"}, None, id="F25-date"),
            pytest.param({}, None, id="F27-no-hint"),
        ],
    )
    def test_milliseconds_win(self, headers: dict[str, str], expected: float | None) -> None:
        assert expected == retry_after_s(headers, NOW_S)

    @given(st.text(max_size=80) | st.text(alphabet="WedNov, 0123456789:-+GMTZ.", max_size=40), st.floats(0, 1e10))
    def test_any_text_gives_seconds_in_range_or_nothing_F28(self, value: str, now_s: float) -> None:
        for read in (
            retry_after_s({"retry-after": value}, now_s),
            retry_after_s({"retry-after-ms": value}, now_s),
        ):
            assert read is None or 0 <= read <= 3600

    @pytest.mark.parametrize(
        ("seconds", "whole"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.001, 2), (6.999, 7), (7.0, 7), (3600.0, 3600)]
    )
    def test_our_own_hints_are_whole_seconds_and_never_too_early(self, seconds: float, whole: int) -> None:
        assert whole == round_up(seconds)


class TestRetryHeaders:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            pytest.param(
                PoolExhausted("x", retry_after_s=6.2), {b"retry-after": b"7", b"retry-after-ms": b"6200"}, id="ours"
            ),
            pytest.param(
                PoolExhausted("x", retry_after_s=0), {b"retry-after": b"1", b"retry-after-ms": b"1"}, id="ours-now"
            ),
            pytest.param(
                RateLimited("x", retry_after="Wed, 25 Nov 2026 00:00:10 GMT", retry_after_s=10),
                {b"retry-after": b"Wed, 25 Nov 2026 00:00:10 GMT"},
                id="theirs-as-it-came",
            ),
            pytest.param(
                RateLimited("x", retry_after="2", retry_after_ms="1500"),
                {b"retry-after": b"2", b"retry-after-ms": b"1500"},
                id="openai-C59-both-as-they-came",
            ),
            pytest.param(
                RateLimited("x", retry_after="7\r\nx-evil: 1", retry_after_s=7),
                {b"retry-after": b"7", b"retry-after-ms": b"7000"},
                id="B37-theirs-not-printable",
            ),
            pytest.param(
                QuotaExhausted("x", retry_after="7", should_retry=False),
                {b"x-should-retry": b"false"},
                id="openai-C59-quota",
            ),
            pytest.param(
                RateLimited("x", retry_after="7", should_retry=False), {b"retry-after": b"7"}, id="429-never-both"
            ),
            pytest.param(
                Overloaded("x", retry_after="7", should_retry=False),
                {b"retry-after": b"7", b"x-should-retry": b"false"},
                id="503-may-have-both",
            ),
            pytest.param(Refused("x", should_retry=True), {b"x-should-retry": b"true"}, id="no-hint"),
            pytest.param(Refused("x"), {}, id="nothing-to-say"),
        ],
    )
    def test_an_sdk_is_told_whether_and_when(self, error: GatewayError, expected: dict[bytes, bytes]) -> None:
        assert expected == dict(retry_headers(error))


RESETS = [
    pytest.param("6m0s", 360.0, id="go-minutes"),
    pytest.param("17ms", 0.017, id="go-milliseconds"),
    pytest.param("1s", 1.0, id="go-second"),
    pytest.param("0s", 0.0, id="go-zero"),
    pytest.param("2m59.56s", 179.56, id="go-groq"),
    pytest.param("7.66s", 7.66, id="go-fraction"),
    pytest.param("1h30m0s", 5400.0, id="go-hours"),
    pytest.param("1.5ms", 0.0015, id="go-milliseconds-fraction"),
    pytest.param("250µs", 0.00025, id="go-microseconds"),
    pytest.param("250us", 0.00025, id="go-microseconds-ascii"),
    pytest.param("999999999h", 86400.0, id="go-clamped"),
    pytest.param("2026-11-25T00:01:00Z", 60.0, id="rfc-3339"),
    pytest.param("2026-11-25T01:01:00+01:00", 60.0, id="rfc-3339-zone"),
    pytest.param("2026-11-25T00:00:00.500000000Z", 0.5, id="rfc-3339-nanoseconds"),
    pytest.param("2026-11-24T00:00:00Z", 0.0, id="rfc-3339-past"),
    pytest.param("2026-12-25T00:00:00Z", 86400.0, id="rfc-3339-far"),
    pytest.param("1795564860", 60.0, id="epoch-seconds"),
    pytest.param("1795564860000", 60.0, id="epoch-milliseconds"),
    pytest.param("60", 60.0, id="azure-seconds"),
    pytest.param("0", 0.0, id="azure-zero"),
    pytest.param("-1", None, id="azure-unknown"),
    pytest.param("2026-13-25T00:01:00Z", None, id="no-such-month"),
    pytest.param("2026-11-25", None, id="date-alone"),
    pytest.param("2026-11-25T00:01:00", None, id="no-zone"),
    pytest.param("", None, id="empty"),
    pytest.param("m", None, id="unit-alone"),
    pytest.param("12ms3s", None, id="wrong-order"),
    pytest.param("1e9", None, id="exponent"),
    pytest.param("nan", None, id="nan"),
    pytest.param("٣s", None, id="foreign-digit"),
    pytest.param("9" * 2_000, None, id="huge"),
]


class TestRateWindows:
    @pytest.mark.parametrize(("value", "expected"), RESETS)
    def test_the_time_of_a_reset_is_read_in_every_vendors_form(self, value: str, expected: float | None) -> None:
        assert reset_s(value, NOW_S) == (None if expected is None else pytest.approx(expected, abs=1e-6))

    @given(st.text(max_size=40) | st.text(alphabet="0123456789.-:TZhmsµun+", max_size=30))
    def test_any_text_gives_a_time_in_range_or_nothing(self, value: str) -> None:
        read = reset_s(value, NOW_S)
        assert read is None or 0 <= read <= 86_400

    def test_openai_counts_requests_and_tokens(self) -> None:
        headers = {
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "6m0s",
            "content-type": "application/json",
        }
        assert rate_windows(headers, NOW_S) == {
            "requests": RateWindow(limit=10_000, remaining=9_999, reset_s=0.006),
            "tokens": RateWindow(limit=2_000_000, remaining=0, reset_s=360.0),
        }

    def test_anthropic_counts_input_and_output_apart(self) -> None:
        headers = {
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-input-tokens-limit": "50000",
            "anthropic-ratelimit-output-tokens-remaining": "8000",
            "anthropic-ratelimit-output-tokens-reset": "2026-11-25T00:00:30Z",
            "anthropic-ratelimit-unified-5h-utilization": "0.4",
        }
        assert rate_windows(headers, NOW_S) == {
            "requests": RateWindow(remaining=49),
            "input_tokens": RateWindow(limit=50_000),
            "output_tokens": RateWindow(remaining=8_000, reset_s=30.0),
        }

    def test_a_family_without_a_resource_counts_requests(self) -> None:
        headers = {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795564860000"}
        assert {"requests": RateWindow(limit=20, remaining=0, reset_s=60.0)} == rate_windows(headers, NOW_S)

    @pytest.mark.parametrize("is_first", [False, True])
    def test_a_family_without_a_resource_is_not_mixed_with_one_that_names_requests(self, is_first: bool) -> None:
        proxy = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "99", "x-ratelimit-reset": "3600"}
        upstream = {"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "0"}
        headers = {**proxy, **upstream} if is_first else {**upstream, **proxy}
        assert rate_windows(headers, NOW_S) == {"requests": RateWindow(limit=10, remaining=0)}

    def test_a_reset_without_a_resource_is_not_that_of_requests_that_others_name(self) -> None:
        headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset": "3600", "x-ratelimit-limit-tokens": "9"}
        assert rate_windows(headers, NOW_S) == {
            "requests": RateWindow(remaining=0),
            "tokens": RateWindow(limit=9),
        }

    @pytest.mark.parametrize("value", ["-1", "1.5", "1e3", "", "many", "٣", "9" * 16, "1,000"])
    def test_a_count_that_cannot_be_read_is_left_out(self, value: str) -> None:
        headers = {"x-ratelimit-remaining-requests": value, "x-ratelimit-limit-requests": "5"}
        assert {"requests": RateWindow(limit=5)} == rate_windows(headers, NOW_S)


def test_a_date_without_a_zone_is_UTC_M17() -> None:
    assert http_date("Wed, 25 Nov 2026 00:00:00 -0000") == NOW_S
