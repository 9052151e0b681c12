"""The recipes by source name, in the order in which their rows enter a dataset."""

from __future__ import annotations

from collections.abc import Mapping

from connector.learn.corpora import (
    administration,
    atomic,
    evtx_samples,
    evtx_to_mitre,
    open_xp_rules,
    otrf,
    panther,
    routine,
    scripts,
    sigma,
    splunk_content,
    texts,
    tldr,
)
from connector.learn.corpora.source import Recipe

RECIPES: Mapping[str, Recipe] = {
    otrf.NAME: otrf.samples,
    evtx_to_mitre.NAME: evtx_to_mitre.samples,
    open_xp_rules.NAME: open_xp_rules.samples,
    atomic.NAME: atomic.samples,
    panther.NAME: panther.samples,
    sigma.NAME: sigma.samples,
    splunk_content.NAME: splunk_content.samples,
    evtx_samples.NAME: evtx_samples.samples,
    routine.NAME: routine.samples,
    administration.NAME: administration.samples,
    tldr.NAME: tldr.samples,
    scripts.RUNNER_IMAGES: scripts.runner_images,
    scripts.CHOCOLATEY: scripts.chocolatey,
    texts.TRAM: texts.tram,
    texts.PROCEDURES: texts.procedures,
}
