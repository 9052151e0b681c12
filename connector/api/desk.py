"""What the API answers from: the parts of the application that it may use, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from connector.api.inlet import Inlet
from connector.learn.export import Machines
from connector.ledger import Ledger
from connector.models import Bundle
from connector.policy import Enrichment, Policy
from connector.ports import Clock
from connector.settings import ApiSettings


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger, the bundle and policy of the moment, and the inlets by name."""

    settings: ApiSettings
    ledger: Ledger
    bundle: Callable[[], Bundle]
    policy: Callable[[], Policy]
    enrichment: Enrichment
    inlets: Mapping[str, Inlet]
    clock: Clock
    machines: Machines
