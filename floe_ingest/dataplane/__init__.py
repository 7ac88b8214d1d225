"""The data plane: DuckDB moves rows as columns, on all cores, within a memory limit.

- ``connection`` opens DuckDB connections; no other module does.
- ``columns`` names the columns of a target and quotes what goes into SQL text.
- ``copy`` writes the result of a query to Parquet data files.
- ``scan`` runs the ``BulkScan`` of a source.

Nothing here knows dlt, pyiceberg or a catalog.
"""
