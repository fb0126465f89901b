"""Exercises, one file a chapter: each checks an answer on fresh random values and names the mistake it finds."""
