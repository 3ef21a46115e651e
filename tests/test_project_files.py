"""The README and the files of the project say what the code and pyproject.toml say."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import isoloss as il

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BOUND = re.compile(r"([\w-]+)(?:\[.*\])?>=([\d.]+)")
CLASSES = [kind for kind in vars(il).values() if inspect.isclass(kind)]


def read_yaml(path: str) -> Any:
    """Return what a YAML file of the project holds."""
    return yaml.safe_load((ROOT / path).read_text())


def bounds(requirements: list[str]) -> dict[str, str]:
    """Return the lowest version of each requirement."""
    return dict(BOUND.fullmatch(requirement).groups() for requirement in requirements)  # type: ignore[union-attr]


def names(text: str) -> set[str]:
    """Return the names in backticks, without what follows them in parentheses."""
    return set(re.findall(r"`([A-Za-z]\w*)", text))


def table(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the table under a heading."""
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
    return [re.split(r" (?<!\\)\| ", row) for row in rows][1:]


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    plain = (re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def test_the_readme_is_short() -> None:
    """The README has at most 230 lines, and none is long."""
    lines = README.splitlines()
    assert len(lines) <= 230
    assert max(map(len, lines)) <= 330


def test_two_commands_set_everything_up() -> None:
    """The README has two commands in blocks; the second is what CI runs."""
    commands = re.findall(r"^```sh\n(.*?)\n```$", README, re.MULTILINE | re.DOTALL)
    assert len(commands) == 2
    assert commands[0].endswith("&& .venv/bin/python examples/one_loss_everywhere.py")
    extras = re.search(r'"\.\[(.*?)\]"', commands[0])
    assert extras is not None
    assert set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
    assert commands[1] == (ROOT / ".ci" / "run").read_text().splitlines()[-1]


@pytest.mark.parametrize(
    "path",
    ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "docs/formulas.md"],
)
def test_links_lead_somewhere(path: str) -> None:
    """Each link to a file or to a heading of a page finds it."""
    page = (ROOT / path).read_text()
    for link in re.findall(r"\]\(([^)\s]+)\)", page):
        if not link.startswith("https://"):
            file, _, anchor = link.partition("#")
            target = (ROOT / path).parent / file if file else ROOT / path
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text()), link


def test_extras_of_the_readme_exist() -> None:
    """Each extra in the README's table is one of pyproject.toml."""
    extras = {name for row in table(README, "Install") for name in names(row[0])}
    assert extras <= set(PROJECT["optional-dependencies"])
    assert {"torch", "jax", "cli", "testing"} <= extras


def test_names_of_the_readme_exist() -> None:
    """Each name in the README's table of families is public, and each page of a family is there."""
    rows = table(README, "Losses and metrics")
    missing = {name for row in rows for name in names(row[1])} - set(il.__all__)
    assert not missing
    linked = {link for row in rows for link in re.findall(r"metrics/(\w+)\.md", row[0])}
    pages = {path.stem for path in (ROOT / "docs" / "metrics").glob("*.md")}
    assert linked == pages - {"README"}


def test_options_of_the_readme_are_those_of_a_call() -> None:
    """The README's table of options has each option of a call, and no other."""
    listed = {name for row in table(README, "Options of every call") for name in names(row[0])}
    options = inspect.signature(il.Metric.__call__).parameters.values()
    assert listed == {option.name for option in options if option.kind is option.KEYWORD_ONLY}


def test_every_metric_has_a_formula() -> None:
    """Each instance stands in a row of docs/formulas.md; each name in a row is public."""
    page = (ROOT / "docs" / "formulas.md").read_text()
    first = re.findall(r"^\| (`.*?) (?<!\\)\| ", page, re.MULTILINE)
    listed = {name for cell in first for name in re.findall(r"`([A-Za-z]\w*)", cell)}
    assert not listed - set(il.__all__)
    instances = {name for name in il.__all__ if isinstance(getattr(il, name), il.Metric)}
    assert not instances - listed
    # a class that has no instance stands there itself
    made = {type(getattr(il, name)) for name in instances}
    concrete = [
        kind for kind in CLASSES if issubclass(kind, il.Metric) and not inspect.isabstract(kind)
    ]
    public = {kind.__name__ for kind in concrete if kind not in made} & set(il.__all__)
    wrappers = {"Root", "Scaled", "Exp", "Sum"}  # in a section of their own
    assert not public - listed - wrappers - {"Metric", "Loss", "SquaredLoss"}


def test_counts_on_the_page_of_trust() -> None:
    """The page says how many reference cases and planted faults there are."""
    page = (ROOT / "docs" / "trust.md").read_text()
    records = [
        record
        for path in (ROOT / "conformance" / "expected").glob("*.json")
        for record in json.loads(path.read_text())
    ]
    metrics = {record["metric"] for record in records}
    assert f"{len(records):,} cases of {len(metrics)} metrics" in page
    faults = tomllib.loads((ROOT / "conformance" / "mutants.toml").read_text())["mutant"]
    surviving = sum("survives" in fault for fault in faults)
    assert f"{len(faults)} deliberate faults" in page
    assert f"{surviving} are known to survive" in page


def test_lowest_versions_are_documented() -> None:
    """The page of versions and the recipe name the bounds of pyproject.toml."""
    extras = PROJECT["optional-dependencies"]
    needed = bounds(PROJECT["dependencies"])
    accepted = bounds([*extras["jax"], *extras["torch"], *extras["dask"]])
    python = PROJECT["requires-python"].removeprefix(">=")

    page = (ROOT / "docs" / "versions.md").read_text()
    rows = {row[0].split(" (")[0].lower(): row[1] for row in table(page, "Supported versions")}
    rows["torch"] = rows.pop("pytorch")
    assert rows == {"python": python, **needed, **accepted}

    recipe = read_yaml("recipe/recipe.yaml")
    run = recipe["requirements"]["run"]
    assert set(run) == {
        f"{name} >={version}" for name, version in {"python": python, **needed}.items()
    }
    accepted["pytorch"] = accepted.pop("torch")
    optional = {f"{name} >={version}" for name, version in accepted.items()}
    assert set(recipe["requirements"]["run_constraints"]) == optional
    (entry,) = recipe["build"]["python"]["entry_points"]
    name, target = entry.split(" = ")
    assert PROJECT["scripts"] == {name: target}


def test_one_version_everywhere() -> None:
    """The citation, the recipe and the page of versions name the version of pyproject.toml."""
    version = PROJECT["version"]
    assert read_yaml("CITATION.cff")["version"] == version
    assert read_yaml("recipe/recipe.yaml")["context"]["version"] == version
    assert f"The present one is {version}," in (ROOT / "docs" / "versions.md").read_text()


def test_one_address_everywhere() -> None:
    """All files name the same repository."""
    address = PROJECT["urls"]["Homepage"]
    assert read_yaml("CITATION.cff")["repository-code"] == address
    about = read_yaml("recipe/recipe.yaml")["about"]
    assert about["homepage"] == about["repository"] == address
    assert all(url.startswith(address) for url in PROJECT["urls"].values())
    for path in ("SECURITY.md", ".github/ISSUE_TEMPLATE/config.yml"):
        assert f"{address}/security/advisories/new" in (ROOT / path).read_text()


def test_ruff_before_a_commit_is_that_of_the_session_lint() -> None:
    """pre-commit runs Ruff in the version that constraints.txt pins, and mypy."""
    repositories = read_yaml(".pre-commit-config.yaml")["repos"]
    ruff = next(entry for entry in repositories if entry["repo"].endswith("/ruff-pre-commit"))
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert f"ruff=={ruff['rev'].removeprefix('v')}" in pins
    hooks = [hook["id"] for entry in repositories for hook in entry["hooks"]]
    assert hooks == ["ruff-check", "ruff-format", "mypy"]


def test_the_release_uses_no_token() -> None:
    """Actions of the release are pinned to commits; only the upload may ask for an identity."""
    workflow = read_yaml(".github/workflows/release.yml")
    used = [
        step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step
    ]
    assert all(re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", action) for action in used)
    assert any(action.startswith("pypa/gh-action-pypi-publish@") for action in used)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert "permissions" not in workflow["jobs"]["build"]
    assert "secrets." not in (ROOT / ".github" / "workflows" / "release.yml").read_text()


@pytest.mark.parametrize("form", ["wrong_number", "error", "new_metric"])
def test_issue_forms_are_complete(form: str) -> None:
    """A form has a name, a description, and fields with labels and identifiers of their own."""
    content = read_yaml(f".github/ISSUE_TEMPLATE/{form}.yml")
    assert content["name"]
    assert content["description"]
    identifiers = [field["id"] for field in content["body"]]
    assert len(set(identifiers)) == len(identifiers)
    assert all(field["attributes"]["label"] for field in content["body"])
