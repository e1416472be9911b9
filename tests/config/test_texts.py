"""Names, globs, targets, prefixes, URLs and fields of a dialect: what may stand there, in its one spelling."""

import re
from typing import Any

import pytest

from asgi_ds2api.config import texts
from asgi_ds2api.config.reading import Flaw
from asgi_ds2api.profiles import PROFILES

from .samples import load, load_upstream, problems, upstream_problems


@pytest.mark.parametrize("name", ["a", "0", "claude-2.b_C", "x" * 64])
def test_name_is_ascii_letters_digits_and_marks(name: str) -> None:
    assert texts.name(name) == name
    assert re.search(texts.NAME, name), "the schema says so too"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        ".a",
        "a b",
        "a/b",
        "a\n",
        "\n",
        "x" * 65,
        "cl\xe4ude",
        "\u0441laude",
        "cla\u200bude",
        "\uff41",
        "a:b",
        "*",
    ],
)
def test_B31_name_that_others_look_like_is_refused(name: str) -> None:
    with pytest.raises(Flaw, match="is no name"):
        texts.name(name)


def test_B31_ids_are_compared_byte_by_byte() -> None:
    config = load(
        upstreams=[
            {"name": name, "protocol": "openai_chat", "base_url": "http://127.0.0.1:1"} for name in ("local", "Local")
        ],
        models=[{"name": name, "targets": ["Local/m"]} for name in ("smart", "Smart")],
    )
    assert [upstream.name for upstream in config.upstreams] == ["local", "Local"]
    assert [alias.name for alias in config.models] == ["smart", "Smart"]


@pytest.mark.parametrize(
    "glob", ["*", "claude-*", "gpt-?", "o[134]*", "[!a]*", "[]]", "[!]]", "[a]b[c]", "a/b:free", "x" * 512, "my model"]
)
def test_glob_of_models_is_taken_as_it_is(glob: str) -> None:
    assert texts.model_glob(glob) == glob


@pytest.mark.parametrize("glob", ["", " a", "a ", "a\tb", "a\x00", "mod\xe8le", "\u0441laude-*", "x" * 513])
def test_B31_name_of_a_model_is_printable_ascii(glob: str) -> None:
    with pytest.raises(Flaw, match="is no name of a model"):
        texts.model_glob(glob)


@pytest.mark.parametrize("glob", ["[", "claude-[*", "[]", "[!]", "a[bc", "[a]["])
def test_F96_glob_that_is_not_closed_is_refused(glob: str) -> None:
    with pytest.raises(Flaw, match="never closed"):
        texts.model_glob(glob)


@pytest.mark.parametrize("target", ["claude/claude-opus-5", "local/*", "router/org/model:free", "a/b c"])
def test_target_is_an_upstream_and_a_model(target: str) -> None:
    assert texts.target(target) == target


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("claude", "is no target"),
        ("claude/", "is no target"),
        ("/model", "is no target"),
        ("a b/model", "is no target"),
        ("", "is no name of a model"),
        ("local/qwen-*", "holds a wildcard"),
        ("local/**", "holds a wildcard"),
        ("local/[q]", "holds a wildcard"),
        ("local/\u0441", "is no name of a model"),
    ],
)
def test_F96_target_that_names_nothing_is_refused(target: str, what: str) -> None:
    with pytest.raises(Flaw, match=what):
        texts.target(target)


@pytest.mark.parametrize(
    ("said", "prefixes"),
    [("/ai", ("/ai",)), (["/ai", "/v2/ai"], ("/ai", "/v2/ai")), ("/a.b_c~d-E", ("/a.b_c~d-E",)), (None, ("/ai",))],
)
def test_prefix_is_one_or_several(said: object, prefixes: tuple[str, ...]) -> None:
    assert load(prefix=said).prefix == prefixes


@pytest.mark.parametrize(
    "prefix", ["", "/", "ai", "/ai/", "//ai", "/ai//b", "/./ai", "/ai/..", "/a b", "/\xe4", "/ai\n", "/a%20"]
)
def test_F96_prefix_that_is_no_plain_path_is_refused(prefix: str) -> None:
    (line,) = problems(prefix=prefix)
    assert line.startswith("prefix: is no prefix;")


@pytest.mark.parametrize("prefix", ["", "/"])
def test_who_wants_all_paths_is_told_to_make_the_gateway_the_app(prefix: str) -> None:
    line = "prefix: is no prefix; for a gateway that has all paths make it the app itself: app = Gateway(...)"
    assert problems(prefix=prefix) == [line]


# --- URLs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "settled"),
    [
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
        ("http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1"),
        ("HTTPS://API.Example.COM", "https://api.example.com"),
        ("https://api.example.com:443/", "https://api.example.com:443"),
        ("http://[::1]:11434", "http://[::1]:11434"),
        ("http://model_server:80/a/b~c", "http://model_server:80/a/b~c"),
        ("https://xn--bcher-kva.example/v1", "https://xn--bcher-kva.example/v1"),
    ],
)
def test_base_url_has_one_spelling(url: str, settled: str) -> None:
    assert load_upstream(base_url=url).base_url == settled


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://user@host/v1", "holds a user name or a password"),
        ("http://user:password@host/v1", "holds a user name or a password"),
        ("http://host/v1?key=value", "has a query or a fragment"),
        ("http://host/v1?", "has a query or a fragment"),
        ("http://host/v1#part", "has a query or a fragment"),
        ("ftp://host/v1", "is not a URL of the right kind"),
        ("file:///etc/passwd", "is not a URL of the right kind"),
        ("host/v1", "is not a URL of the right kind"),
        ("http:/host", "is not a URL of the right kind"),
        ("//host/v1", "is not a URL of the right kind"),
        ("http://", "is a URL without a usable host"),
        ("http:///v1", "is a URL without a usable host"),
        ("http://:80/v1", "is a URL without a usable host"),
        ("http://host:0/v1", "is a URL without a usable host"),
        ("http://-host-/v1", "is a URL without a usable host"),
        ("http://a..b/v1", "is a URL without a usable host"),
        ("http://host:65536/v1", "is no URL"),
        ("http://host:x/v1", "is no URL"),
        ("http://[::1/v1", "is no URL"),
        ("http://[v1.a:b]/v1", "is a URL without a usable host"),
        ("http://h\xf6st/v1", "is no URL"),
        ("http://good\\@evil/v1", "is no URL"),
        ("http://host/v1 ", "is no URL"),
        ("http://host/v1\n", "is no URL"),
        ("", "is no URL"),
        ("http://host/../v1", "has a path that is not plain"),
        ("http://host/./v1", "has a path that is not plain"),
        ("http://host//v1", "has a path that is not plain"),
        ("http://host/%2e%2e/v1", "has a path that is not plain"),
        ("http://host/{model}", "has a path that is not plain"),
        ("http://host/v1/chat/completions", "is the URL of an operation"),
        ("http://host/v1/messages/", "is the URL of an operation"),
    ],
)
def test_F96_B72_base_url_that_could_lead_elsewhere_is_refused(url: str, what: str) -> None:
    (line,) = upstream_problems(base_url=url)
    assert line.startswith(f"upstreams[0].base_url: {what};")
    assert "password" not in line.replace("holds a user name or a password", "")


@pytest.mark.parametrize(
    ("url", "is_clear"),
    [
        ("https://api.example.com", False),
        ("http://localhost:8080", False),
        ("http://app.localhost", False),
        ("http://127.0.0.1", False),
        ("http://127.8.9.1", False),
        ("http://[::1]:80", False),
        ("http://ollama:11434", True),
        ("http://10.0.0.1", True),
        ("http://localhost.example", True),
        ("http://[fe80::1]", True),
        ("http://0.0.0.0", True),
    ],
)
def test_plain_http_to_another_machine_is_warned_of(url: str, is_clear: bool) -> None:
    config = load(upstreams=[{"name": "a", "protocol": "openai_chat", "base_url": url}])
    warning = "upstreams[0].base_url: plain http to another machine: keys and prompts can be read on the way"
    assert config.warnings() == ((warning,) if is_clear else ())


@pytest.mark.parametrize(
    ("origin", "settled"),
    [("https://App.example", "https://app.example"), ("http://localhost:3000", "http://localhost:3000")],
)
def test_web_origin_is_spelled_as_browsers_do(origin: str, settled: str) -> None:
    assert load(cors_origins=[origin]).cors_origins == (settled,)


@pytest.mark.parametrize(
    "origin", ["*", "null", "app.example", "https://app.example/", "https://a@b", "https://*.example"]
)
def test_F96_web_origin_is_exact(origin: str) -> None:
    (line,) = problems(cors_origins=[origin])
    assert line.startswith("cors_origins[0]: is ")


# --- dialects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"auth_header": "Api-Key"}, "auth_header: is not the name of a header that can carry a key"),
        ({"auth_header": "host"}, "auth_header: is not the name of a header that can carry a key"),
        ({"auth_header": "content-length"}, "auth_header: is not the name of a header that can carry a key"),
        ({"auth_header": "x\r\ny"}, "auth_header: is not the name of a header that can carry a key"),
        ({"auth_scheme": "Bearer\n"}, "auth_scheme: could not stand in a header"),
        ({"path": "chat"}, "path: is no path"),
        ({"path": ""}, "path: is no path"),
        ({"path": "/../admin"}, "path: is no path"),
        ({"path": "/chat?key=1"}, "path: is no path"),
        ({"path": "/{name}/chat"}, "path: is no path"),
        ({"path": "//host/chat"}, "path: is no path"),
        ({"vendor": "a b"}, "vendor: is no name"),
        ({"stop_max": -1}, "stop_max: is out of range"),
        ({"done": "never"}, "done: is none of the words that may stand here"),
        ({"query": {"api-version": 3}}, "query.api-version: is an integer"),
        ({"query": "a=b"}, "query: is a string"),
        ({"query": {"a b": 3}}, "query.?: is an integer"),
        ({"drop": "top_k"}, "drop: is a string"),
        ({"models": [["claude-*"]]}, "models[0]: has the wrong length"),
        ({"models": [["claude-*", {"prefill": 1}]]}, "models[0][1].prefill: is an integer"),
        ({"models": [["claude-*", {"prefil": False}]]}, "models[0][1].prefil: there is no such key"),
        ({"stop_min": 1}, "stop_min: there is no such key"),
    ],
)  # fmt: skip
def test_F96_field_of_a_dialect_is_checked(fields: dict[str, Any], line: str) -> None:
    (found,) = upstream_problems(profile=fields)
    assert found.partition(";")[0] == f"upstreams[0].profile.{line}"


@pytest.mark.parametrize("parameter", ["key", "KEY", "api-key", "api_key", "access_token"])
def test_B72_key_in_a_query_is_refused(parameter: str) -> None:
    (line,) = upstream_problems(profile={"query": {parameter: "value", "api-version": "1"}})
    assert line.startswith("upstreams[0].profile.query: would put a key into a URL")


KNOWN = ", ".join(PROFILES)


@pytest.mark.parametrize(
    ("profile", "line"),
    [
        ("leniant", "upstreams[0].profile: is no known profile; did you mean 'lenient'?"),
        ({"base": "zzz"}, f"upstreams[0].profile.base: is no known profile; known are {KNOWN}"),
        (3, f"upstreams[0].profile: is neither a name nor a table; write one of {KNOWN}, or a table of fields"),
    ],
)  # fmt: skip
def test_F96_unknown_dialect_is_told(profile: object, line: str) -> None:
    assert upstream_problems(profile=profile) == [line]
