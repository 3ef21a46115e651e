"""Adapters of metrics to other libraries, one module per library; import the one you use."""
