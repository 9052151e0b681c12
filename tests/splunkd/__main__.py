"""``python -m tests.splunkd --port P --hec-port H``: the stand-in on its own, until it is ended."""

from __future__ import annotations

import argparse
import signal
import threading

from tests.splunkd import Splunkd


def main() -> None:
    """Runs the server, and says where it answers and what opens it."""
    parser = argparse.ArgumentParser(prog="python -m tests.splunkd", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="the management port; 0: any that is free")
    parser.add_argument("--hec-port", type=int, default=0, help="the HTTP event collector's port; 0: any that is free")
    parser.add_argument("--seconds", type=float, default=None, help="end after so many seconds")
    options = parser.parse_args()
    end = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: end.set())
    with Splunkd(port=options.port, hec_port=options.hec_port) as splunkd:
        print(f"management  {splunkd.url}  {splunkd.username} / {splunkd.password}  token {splunkd.token}")
        print(
            f"collector   {splunkd.hec_url}  token {splunkd.hec_token}  acknowledging {splunkd.hec_ack_token}",
            flush=True,
        )
        end.wait(options.seconds)


if __name__ == "__main__":
    main()
