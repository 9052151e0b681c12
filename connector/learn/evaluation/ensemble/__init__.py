"""What members show together on recordings and campaigns that none of them saw: see docs/ensemble.md."""
