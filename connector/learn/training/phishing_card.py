"""The card of a phishing bundle: what it was trained on, and what was measured, in the command's own words."""

from __future__ import annotations

from collections.abc import Sequence

from connector.models.manifest import Manifest

TITLE = "# Phishing member"


def card(manifest: Manifest, lines: Sequence[str]) -> str:
    """Markdown for the bundle's README. ``lines`` are what the command reported."""
    base = manifest.base
    origin = "none: the bag of tokens alone" if base is None else f"{base.name}, {base.licence or 'licence not stated'}"
    training = manifest.metrics["training"]
    told = "\n".join(f"- {line}" for line in lines)
    return f"""{TITLE}

`{manifest.ref}` says of a mail how probable phishing (T1566) is: T1566.001 where something is attached, T1566.002 where
there is a link. It has no view of any other event. Made by `triaged train phishing` on the user's own files; nothing of
their text is in the bundle but the weights.

- base: {origin}; SHA-256 of its weights {base.sha256 if base else "none"}
- kept: {training["kept"]}
- rows: {", ".join(f"{count} {name}" for name, count in sorted(manifest.dataset.rows.items()))}; dataset digest `{manifest.dataset.digest}`
- split: {manifest.dataset.split}

## Measured

{told}

A rate without "optimistic" is on groups of near-copies that training never saw. Mail of another time or another house is
unlike them: measure on your own before anything acts on a verdict.
"""
