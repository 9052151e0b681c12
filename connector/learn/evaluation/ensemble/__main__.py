"""``python -m connector.learn.evaluation.ensemble``: what ``triaged evaluate ensemble`` starts as a subprocess."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from connector.errors import ConfigError

EXIT_CONFIG = 2
RESULT, PAGE = "ensemble.json", "ensemble.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures members and the ensemble on recordings that none of them saw; 0 done, 2 something must be changed first."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as training does; read when torch loads
    options = _parser().parse_args(arguments)
    try:
        return _measured(options)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG


def _measured(options: argparse.Namespace) -> int:
    from connector.learn.evaluation.ensemble import report  # noqa: PLC0415 - imports torch
    from connector.learn.training.ensemble.__main__ import order_of  # noqa: PLC0415 - see above
    from connector.learn.training.ensemble.material import gathered  # noqa: PLC0415 - see above

    found = report.measured(gathered(order_of(options)))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / RESULT).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    page = report.written(found)
    (options.output / PAGE).write_text(page, "utf-8")
    print(page)
    print(f"written: {options.output / RESULT} and {PAGE}")
    return 0


def _parser() -> argparse.ArgumentParser:
    from connector.learn.training.ensemble.__main__ import arguments  # noqa: PLC0415 - one table of options

    made = argparse.ArgumentParser(prog="triaged evaluate ensemble", description=__doc__)
    arguments(made)
    made.add_argument("--output", type=Path, default=Path("evaluation"), help="folder for the report")
    return made


if __name__ == "__main__":
    raise SystemExit(main())
