"""The one place that picks what runs a query: DuckDB or Spark."""
