"""The Delta lake: tables, versions of rows, quality, audit."""
