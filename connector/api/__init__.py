"""The HTTP API: verdicts on demand, events that are pushed, and a person's word on what waits.

Nothing here is imported by the base install: FastAPI and uvicorn come with the extra ``api``, and :class:`Door` asks for
them only where the settings want an API.
"""

from connector.api.desk import Desk
from connector.api.door import Door, check, check_installed
from connector.api.inlet import Inlet, PushSource, inlet_source_settings

__all__ = ["Desk", "Door", "Inlet", "PushSource", "check", "check_installed", "inlet_source_settings"]
