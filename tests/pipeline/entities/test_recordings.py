"""The shipped bundle with SigmaHQ's rules over whole recordings that its training left out: which attacks make an incident,
and what else does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from connector.errors import PermanentError
from connector.events import normalise
from connector.learn.corpora import otrf, process_tree
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation import sigma
from connector.models import Bundle, Store
from connector.pipeline.entities.fold import add
from connector.pipeline.entities.incidents import taken
from connector.pipeline.entities.nouns import EntityState, IncidentState
from connector.pipeline.entities.rollup import contribution_of
from connector.policy import DecisionContext
from connector.resources import shipped
from connector.types import Event, RawEvent, SourceRef
from connector.wiring import plugins
from tests.events import corpora

LEFT_OUT: Final = (
    "cmd_dumping_ntds_dit_file_ntdsutil.zip",
    "empire_mimikatz_lsadump_inject_protected_mode.zip",
    "psh_lsass_memory_dump_comsvcs.zip",
    "auditpol_system_user_auditpolicy_modification.zip",
    "cmd_bitsadmin_download_psh_script.zip",
    "empire_powerview_ldap_ntsecuritydescriptor.zip",
    "empire_find_localadmin_smb_svcctl_OpenSCManager.zip",
    "empire_shell_net_local_users.zip",
    "covenant_wmi_wbemcomn_dll_hijack.zip",
    "empire_psremoting_stager.zip",
    "empire_smbexec_dcerpc_smb_svcctl.zip",
    "covenant_persistwmi.tar.gz",
)
"""The part `dev` of the dataset that the shipped bundle was trained on; ``triaged dataset`` splits it so."""


class Seen(NamedTuple):
    """One recording: its events, those of the attack's process tree, and its incidents, each with whether it has any of these.

    ``after``: events of the tree up to the first that was part of an incident; None: none was.
    """

    events: int
    attack: int
    incidents: Sequence[bool]
    after: int | None


def recordings() -> Iterator[tuple[str, list[Mapping[str, Any]], process_tree.Recording]]:
    corpora.need(corpora.OTRF)
    found = Corpora(corpora.FOLDER)
    _, views = otrf._metadata(found)
    for path, content in found.files(otrf.NAME, ".zip", ".tar.gz"):
        name = path.rsplit("/", 1)[-1]
        if "/host/" in path and name in LEFT_OUT:
            raws = otrf._events(path, content)
            starts = [event for event in raws if event.get("EventID") == 1 and "ProcessGuid" in event]
            yield name, raws, process_tree.attack(starts, views.get(name, ""))


def rules(folder: Path) -> Path:
    """SigmaHQ's rules as a site has them."""
    for path, content in Corpora(corpora.FOLDER).files(sigma.SOURCE, ".yml"):
        if path.startswith(sigma.FOLDER):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    return folder


def seen(raws: Sequence[Mapping[str, Any]], tree: process_tree.Recording, bundle: Bundle) -> Seen:
    events: list[tuple[Event, bool]] = []
    for number, data in enumerate(raws):
        ref = SourceRef(siem="corpus", index="otrf", id=str(number))
        try:
            found = normalise(RawEvent(deployment="corpus", native_id=str(number), ref=ref, data=data))
        except PermanentError:
            continue
        events.append((found, tree.holds(data)))
    now = datetime(2026, 11, 22, tzinfo=UTC)
    context = DecisionContext(now=now, model=bundle.model, thresholds=bundle.thresholds, members=1, origin_key=None)
    predictions = bundle.predict([event for event, _ in events], {})[0]
    entities: dict[str, EntityState] = {}
    incidents: dict[str, IncidentState] = {}
    attacks: dict[str, bool] = {}
    of_tree, after = 0, None
    for (event, attack), prediction in zip(events, predictions, strict=True):
        of_tree += attack
        contribution = contribution_of(event, prediction, context)
        if contribution is None:
            continue
        whose = [
            entities.get(key) or EntityState(key=key, entity=entity, newest=0) for key, entity in contribution.whose
        ]
        outcome = taken(contribution, [add(state, contribution) for state in whose], incidents)
        entities |= {state.key: state for state in outcome.states}
        incidents |= outcome.incidents
        if outcome.incident is not None:
            attacks[outcome.incident] = attacks.get(outcome.incident, False) or attack
            after = of_tree if attack and after is None else after
    return Seen(len(events), of_tree, tuple(attacks.values()), after)


@pytest.mark.full
def test_most_attacks_whose_process_tree_is_known_make_an_incident_and_little_else_does(tmp_path: Path) -> None:
    bundle = Store(shipped("model_store")).open(
        threads=1, kinds=plugins("triaged.member"), options={"rules": {"folders": [str(rules(tmp_path))]}}
    )
    found = {}
    for name, raws, tree in recordings():
        found[name] = one = seen(raws, tree, bundle)
        print(f"{name}: {one.events} events, {one.attack} of the attack, incidents {one.incidents}, after {one.after}")
    known = [one for one in found.values() if one.attack]
    raised = sum(any(one.incidents) for one in known)
    others = sum(not attack for one in known for attack in one.incidents)
    background = sum(one.events - one.attack for one in known)
    print(f"{raised} of {len(known)} raised; {others} other incidents in {background} events outside the trees")
    assert len(found) == len(LEFT_OUT)
    assert raised >= 4
    assert others <= 1
