"""How well sentences are tagged is measured with the recipe that ships."""

from __future__ import annotations

from connector.learn.training.fit import Recipe
from connector.learn.training.report_text import _parser


def test_without_options_the_text_model_is_fitted_by_the_bundles_recipe() -> None:
    options = _parser().parse_args([])

    assert Recipe(epochs=options.epochs) == Recipe()
