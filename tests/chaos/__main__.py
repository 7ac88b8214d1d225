"""``python -m chaos``: many loads with random faults, then processes on one table; the result as Markdown."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
from pathlib import Path

from chaos.leftovers import clean
from chaos.loads import Loads
from chaos.parallel import Parallel
from chaos.report import report
from chaos.world import LAKES, world


def main() -> int:
    """Run, print and write the report; return 1 where anything was wrong."""
    options = _options()
    # What ends this program in the middle ends its servers with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    _say(f"seed {seed}: run again with --seed {seed}")
    with tempfile.TemporaryDirectory(prefix="floe-ingest-chaos-") as folder, world() as servers:
        loads = Loads(servers, Path(folder) / "loads", seed, _say)
        loads.calm()
        for number in range(1, options.loads + 1):
            loads.disturbed(number)
        configs = {feed.lake: feed.folder / "ingest.yaml" for feed in loads.feeds}
        left = [clean(servers, lake, configs[lake]) for lake in LAKES]
        loads.compare_all("after clean")
        place = Path(folder) / "parallel"
        parallel = Parallel(servers, "rest", place, seed, options.processes, _say)
        parallel.run(options.minutes * 60)
        left_parallel = clean(servers, "rest", place / "worker_0" / "ingest.yaml")
    text = report(loads.tally, parallel.tally, left, left_parallel)
    head = f"`python -m chaos --seed {seed} --loads {options.loads} --processes {options.processes} "
    text = f"{head}--minutes {options.minutes:g}`\n\n{text}"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, encoding="utf-8")
    print(text)
    wrong = [*loads.tally.wrong, *parallel.tally.wrong]
    wrong += [f"left over after clean: {each}" for each in (*left, left_parallel) if each.remaining]
    for what in wrong:
        print(f"WRONG: {what}", file=sys.stderr)
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="of every choice; printed, so that a run can be repeated")
    parser.add_argument("--loads", type=int, default=200)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=Path("build/chaos.md"))
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
