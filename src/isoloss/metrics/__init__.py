"""The definitions of metrics, one file a family; each lists what is public in ``__all__``."""
