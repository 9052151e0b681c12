"""The export of closed alerts: what analysts decided, as labelled rows without anybody's name in them."""

from connector.learn.export.folder import Folder
from connector.learn.export.job import Done, Export
from connector.learn.export.labels import LabelMap
from connector.learn.export.machine import Machines
from connector.learn.export.pseudonyms import Pseudonyms
from connector.learn.export.rows import SCHEMA, Fact, Row, Sighted

__all__ = ["SCHEMA", "Done", "Export", "Fact", "Folder", "LabelMap", "Machines", "Pseudonyms", "Row", "Sighted"]
