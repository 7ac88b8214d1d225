"""The Iceberg destination for dlt, catalog-native: one snapshot per table and load.

Two steps are kept apart. ``write`` turns the files of a load into data files with statistics: it
touches no catalog, runs anywhere, and its result pickles. ``commit`` makes data files and state count
in one snapshot: it is the one place that decides. The ledger is the table itself: load id, run id and
state travel in the snapshot that holds the rows.

- ``factory`` is what dlt users name as their destination.
- ``client`` and ``jobs`` are dlt's interfaces: a job per file that does nothing, a job per table chain
  that writes and commits.
- ``layout`` plans a table's columns from dlt's schema and the files of a load.
- ``ledger`` reads and writes the load's marks; ``meta`` keeps dlt's schemas in the catalog.
- ``catalogs`` opens catalogs; ``plugin`` says which catalog types there are.
"""
