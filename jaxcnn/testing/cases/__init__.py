"""The library's own rows: a file a family, in which a line adds a case."""
