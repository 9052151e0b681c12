"""What if: decide and admit asked again over what the ledger holds, under the clock of then. Nothing is written."""

from connector.pipeline.simulation.arm import Arm, Fate, Site
from connector.pipeline.simulation.books import Recorded, SimulatedBooks
from connector.pipeline.simulation.report import Agreement, Change, Report, Side
from connector.pipeline.simulation.run import simulate

__all__ = [
    "Agreement",
    "Arm",
    "Change",
    "Fate",
    "Recorded",
    "Report",
    "Side",
    "SimulatedBooks",
    "Site",
    "simulate",
]
