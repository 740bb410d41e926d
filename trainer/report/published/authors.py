"""Facts from the public code of the reports' authors, and which recipe starts a row with the authors' settings.

`authors.yaml` has them, with the repository and the file of each. Nobody can prove that the code is the version behind
a report.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from trainer.published import own_yaml

Scope = Mapping[str, Any]  # `of` and `where`: the rows that something is said of


@dataclass(frozen=True)
class Fact:
    """A statement of a repository about rows of one report."""

    source: str  # repository and file
    says: str
    set: Mapping[str, Any]  # config key -> value. Empty: the fact is for information
    refused: str  # why no run here can have it, or an empty string
    beside: str  # what the code does beside what is set, and no run here does, or an empty string
    scope: Scope

    @property
    def apart(self) -> str:
        """Return what sets the code apart from every run here and is the value of no key, or an empty string."""
        return self.beside or ("" if self.set else self.refused)


@dataclass(frozen=True)
class Repository:
    report: str
    name: str  # on GitHub
    revision: str
    facts: tuple[Fact, ...]
    readings: tuple[Scope, ...]  # each with a `recipe`
    unrun: Scope | None


@cache
def repositories() -> tuple[Repository, ...]:
    text = (files("trainer.report.published") / "authors.yaml").read_text(encoding="utf-8")
    return tuple(
        Repository(
            each["report"],
            each["repository"],
            str(each["revision"]),
            tuple(
                Fact(
                    f"{each['repository']}, {fact['file']}",
                    fact["says"],
                    fact.get("set", {}),
                    fact.get("refused", ""),
                    fact.get("beside", ""),
                    fact,
                )
                for fact in each["facts"]
            ),
            tuple(each["readings"]),
            each.get("unrun"),
        )
        for each in own_yaml(text)["repositories"]
    )


def facts_of(experiment: str, settings: Mapping[str, Any]) -> list[Fact]:
    """Return what public code says of a row: its experiment's id, and its settings as transcribed."""
    return [fact for each in repositories() for fact in each.facts if _is_of(fact.scope, experiment, settings)]


def recipe_of(experiment: str, settings: Mapping[str, Any]) -> str | None:
    """Return the recipe that starts a row with the authors' settings, or None if there is none."""
    fitting = [
        str(scope["recipe"])
        for each in repositories()
        for scope in each.readings
        if _is_of(scope, experiment, settings)
    ]
    return fitting[-1] if fitting else None


def why_unrun(experiment: str) -> str:
    """Return why no run behind an experiment's figures is known, or an empty string."""
    return next(
        (
            f"{each.unrun['says']} ({each.name}, {each.unrun['file']})"
            for each in repositories()
            if each.unrun and experiment in each.unrun["of"]
        ),
        "",
    )


def _is_of(scope: Scope, experiment: str, settings: Mapping[str, Any]) -> bool:
    if experiment not in scope["of"]:
        return False
    return all(settings.get(key) in allowed for key, allowed in scope.get("where", {}).items())
