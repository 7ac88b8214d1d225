"""The assets of ``ingest.yaml``, and a report that is made of two of them.

dagster dev -f examples/dagster/definitions.py
"""

from pathlib import Path

import dagster as dg

from floe_ingest.integrations.dagster import definitions

HERE = Path(__file__).resolve().parent

TOP_RATED = """
    SELECT prices.title, prices.list_price, round(avg(ratings.stars), 2) AS stars
    FROM prices JOIN ratings USING (sku)
    GROUP BY ALL ORDER BY stars DESC, title LIMIT 10
"""


@dg.asset(deps=["ingestion__files__price_list", "ingestion__files__ratings"], group_name="reports")
def top_rated() -> dg.MaterializeResult[None]:
    """The ten books with the best ratings: a CSV file beside the warehouse."""
    import duckdb
    from pyiceberg.catalog import load_catalog

    warehouse = HERE / "warehouse"
    catalog = load_catalog(
        "default", type="sql", uri=f"sqlite:///{warehouse / 'catalog.db'}", warehouse=warehouse.as_uri()
    )
    with duckdb.connect() as connection:
        connection.register("prices", catalog.load_table("files.price_list").scan().to_arrow())
        connection.register("ratings", catalog.load_table("files.ratings").scan().to_arrow())
        found = connection.sql(TOP_RATED)
        found.write_csv(str(HERE / "top_rated.csv"))
        rows = found.fetchall()
    return dg.MaterializeResult(metadata={"rows": len(rows), "best": str(rows[0][0])})


defs = dg.Definitions.merge(definitions(HERE / "ingest.yaml"), dg.Definitions(assets=[top_rated]))
