"""Analysis of records: pure functions, without torch."""
