"""``docs/extending.md`` says what each folder of tests is for."""

from .pages import ROOT, table


def test_every_folder_of_tests_is_described() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    told = {code.rstrip("/") for row in table(ROOT / "docs/extending.md", "The tests") for code in row.codes}
    assert told - {"tests/test_*.py"} == folders
