"""What `conformance` and `tests` share: libraries, metrics, drawn inputs, comparison, laws."""
