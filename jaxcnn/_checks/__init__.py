"""Checks that the packages share: of arrays by their shapes and dtypes, and of options.

A message says which argument is wrong, what came, the rule and what would do. The function or
module that was called is put before it in one place, `naming`.
"""
