"""How fast the product is, as ratios against ``transformers.pipeline`` in one run: ``python -m tests.bench``."""
