"""A Tutor plugin that runs codejail in the place of codejail-service."""

__version__ = "0.1.0"
