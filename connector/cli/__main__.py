"""``python -m connector.cli`` is the command ``triaged``."""

from connector.cli import main

main()
