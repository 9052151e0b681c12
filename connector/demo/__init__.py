"""The bundled demo: a scenario written for this project, and the report that is printed of it."""

from __future__ import annotations

from connector.demo.paths import TRUTH, scenario_paths

__all__ = ["TRUTH", "scenario_paths"]
