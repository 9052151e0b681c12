"""Programs that drive the stand-in through clients that were written for the real server."""
