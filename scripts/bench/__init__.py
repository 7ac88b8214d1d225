"""What the benchmarks measured: the model of a result, the report of many, and the comparison of two reports.

``python -m bench --help`` lists the commands; ``make bench`` and ``make bench-check`` call them.
"""
