"""Toy scenes, drawn by formula, for `vitseg data toy` and tests; the drawn ones are in data/toy_scenes."""
