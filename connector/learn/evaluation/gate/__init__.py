"""The promotion gate: is a challenger no worse than the incumbent anywhere that matters? See docs/promotion.md."""
