"""The two loops: ``Ingest`` ends in the ledger, ``Deliver`` (records) and ``Act`` (playbooks) start there."""

from connector.pipeline.act import LATEST, Act, longest_start
from connector.pipeline.deliver import Deliver
from connector.pipeline.history import History
from connector.pipeline.ingest import Ingest, microseconds, unwatched
from connector.pipeline.passage import Outcome
from connector.pipeline.replay import replay
from connector.pipeline.routes import Routes
from connector.pipeline.steps import Steps
from connector.pipeline.verify import Verification, verify

__all__ = [
    "LATEST",
    "Act",
    "Deliver",
    "History",
    "Ingest",
    "Outcome",
    "Routes",
    "Steps",
    "Verification",
    "longest_start",
    "microseconds",
    "replay",
    "unwatched",
    "verify",
]
