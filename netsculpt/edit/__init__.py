"""Exact, reversible edits of a model and of everything that trains it."""
