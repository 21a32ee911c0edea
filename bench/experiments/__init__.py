"""Whole jobs with a question and an answer, on public data; each module says what it asks and how to run it."""
