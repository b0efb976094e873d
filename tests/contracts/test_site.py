"""What the documentation says to type, to open and to click is there, and its pages made from the code are current."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from infra.cli.app import app
from tests.support import DOCUMENTS, ROOT, typed_lines

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FOLDERS = ("ml", "serving", "infra", "dags", "tests", "docs", "mlflow", "findings", "tools")
ROOT_COMMAND: Any = get_command(app)
MAKE = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _typed(text: str) -> Iterator[list[str]]:
    """The words of each command in code blocks."""
    for line in typed_lines(text):
        for command in line.split(" && "):
            words = shlex.split(command, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words = words[1:]
            if words:
                yield words


def _arguments(words: list[str]) -> list[str] | None:
    """What is said to the command line, here or in a container; None for any other program."""
    if words[0].rpartition("/")[2] == "trackyard":
        return words[1:]
    if words[:2] == ["docker", "compose"] and "trackyard" in words:
        return words[words.index("trackyard") + 1 :]
    return None


def _problem(words: list[str], *, is_whole: bool) -> str:
    """What the command line would say of these arguments; nothing runs, and no file is looked for."""
    command, parent = ROOT_COMMAND, None
    while True:
        context = command.context_class(command, parent=parent, info_name=command.name)
        try:
            given, rest, _ = command.make_parser(context).parse_args(list(words))
        except Exception as error:
            return str(error)
        inner = getattr(command, "commands", None)
        if inner is None:
            break
        if not rest or rest == ["COMMAND"]:
            return ""
        if rest[0] not in inner:
            return f"no command {rest[0]!r}"
        command, parent, words = inner[rest[0]], context, rest[1:]
    if rest:
        return f"too many arguments: {rest}"
    missing = [one.name for one in command.params if one.required and not isinstance(given.get(one.name), (str, tuple))]
    return f"missing: {missing}" if missing and is_whole else ""


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_every_command_that_is_shown_is_one(path: Path) -> None:
    found = {shlex.join(words): _arguments(words) for words in _typed(path.read_text())}

    problems = {line: _problem(words, is_whole=True) for line, words in found.items() if words is not None}
    assert {line: problem for line, problem in problems.items() if problem} == {}


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_every_command_that_is_named_in_a_sentence_is_one(path: Path) -> None:
    named = re.findall(r"`trackyard ([^`]+)`", path.read_text())

    problems = {line: _problem(shlex.split(line), is_whole=False) for line in named}
    assert {line: problem for line, problem in problems.items() if problem} == {}


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_every_target_of_make_is_one(path: Path) -> None:
    text = path.read_text()
    named = {words[1] for words in _typed(text) if words[0] == "make" and len(words) > 1}
    named |= set(re.findall(r"`make ([a-z-]+)`", text))

    assert named - MAKE == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_every_file_that_is_named_is_there(path: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`", path.read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_every_link_and_picture_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", path.read_text())

    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_every_picture_is_shown() -> None:
    shown = {match for path in DOCUMENTS for match in re.findall(r"images/([\w-]+\.(?:png|svg))\)", path.read_text())}

    assert {path.name for path in (DOCS / "images").iterdir() if path.suffix in (".png", ".svg")} == shown


def _in(menu: list[Any]) -> Iterator[str]:
    for entry in menu:
        for target in entry.values() if isinstance(entry, dict) else [entry]:
            yield from _in(target) if isinstance(target, list) else [target]


def test_every_page_is_in_the_menu_once() -> None:
    menu = _in(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])

    assert sorted(menu) == [str(page.relative_to(DOCS)) for page in PAGES]


def test_the_list_of_decisions_is_whole() -> None:
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (DOCS / "decisions" / "index.md").read_text())

    assert listed == sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))


def test_a_decision_says_what_was_decided_and_what_was_rejected() -> None:
    for path in (DOCS / "decisions").glob("0*.md"):
        text = path.read_text()
        assert text.startswith(f"# {int(path.name[:4])}. ")
        for part in ("**Context.**", "**Decision.**", "**Rejected.**"):
            assert part in text, f"{path.name}: {part}"


def test_the_pages_that_are_made_from_the_code_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "reference.py"), "--check"],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-2000:]


def test_the_site_is_built_and_its_pages_fetch_nothing_from_elsewhere() -> None:
    zensical = Path(sys.executable).parent / "zensical"
    done = subprocess.run([str(zensical), "build", "--strict"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    pages = list((ROOT / "build" / "site").rglob("*.html"))
    assert len(pages) > len(PAGES)
    fetched = r"""<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=["']?((?:https?:)?//[^\s"'>]+)"""
    assert {match for page in pages for match in re.findall(fetched, page.read_text())} == set()
    # What draws these would be fetched.
    assert [page.name for page in pages if 'class="mermaid"' in page.read_text()] == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("trackyard promot 3", "no command"),
        ("trackyard promote", "missing"),
        ("trackyard promote 3 --why x", "No such option"),
        ("trackyard up now", "too many"),
    ],
)
def test_a_wrong_command_would_be_noticed(line: str, problem: str) -> None:
    assert problem in _problem(line.split()[1:], is_whole=True)
