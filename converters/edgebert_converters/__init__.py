"""Converters: a trained student in, a file another runtime runs out. See base.py."""
