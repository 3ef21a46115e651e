"""Metrics where other libraries ask for theirs: one module for each, imported when asked for."""
