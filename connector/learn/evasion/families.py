"""All mutations by family, and which families training may use: the others are only ever measured."""

from __future__ import annotations

from collections.abc import Mapping

from connector.learn.evasion import length, options, programs, quoting, spelling, strings, variables
from connector.learn.evasion.line import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    *quoting.MUTATIONS,
    *variables.MUTATIONS,
    *strings.MUTATIONS,
    *spelling.MUTATIONS,
    *options.MUTATIONS,
    *programs.MUTATIONS,
    *length.MUTATIONS,
)

FAMILIES: Mapping[str, tuple[Mutation, ...]] = {
    family: tuple(mutation for mutation in MUTATIONS if mutation.family == family)
    for family in dict.fromkeys(mutation.family for mutation in MUTATIONS)
}

TRAINED: frozenset[str] = frozenset({"carets", "strings", "case", "blanks", "paths", "options", "truncation"})
"""Families that training may change its rows by."""

LEFT_OUT: frozenset[str] = frozenset(FAMILIES) - TRAINED
"""Families that no training row was ever changed by: ``triaged evasion`` measures what has never been seen."""
