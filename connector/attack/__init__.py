"""ATT&CK Enterprise as facts: techniques and tactics of one version, and the way from other versions to it.

ATT&CK is a registered trademark of The MITRE Corporation; ``catalogue.json`` carries its copyright designation.
"""

from connector.attack.techniques import Catalogue, Tactic, Technique, catalogue
from connector.attack.versions import Migration, migrate, to_v19

__all__ = ["Catalogue", "Migration", "Tactic", "Technique", "catalogue", "migrate", "to_v19"]
