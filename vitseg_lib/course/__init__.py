"""What only the notebooks need: figures, widgets, exercises, and a few measurements. The core imports none of it."""
