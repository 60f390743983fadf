"""Flows: the order of the stages, and the command line."""
