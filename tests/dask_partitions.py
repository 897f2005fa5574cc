"""A local cluster of Dask, two worker processes, that runs 6 partitions of 10 requests.

    python dask_partitions.py FOLDER

It prints the process ids of its workers, waits for a line, and prints the results as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import dask
import dask.bag
import dask.distributed
from batches import hurry

from creatify import Creatify
from creatify.batch import generate_partition


def row(number: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Text {number}."}]
    return {"model_name": "gemini-2.5-flash", "messages": messages}


def main() -> None:
    start: Any = dask.distributed  # without types
    dask.config.set({"distributed.scheduler.allowed-failures": 5})
    with (
        start.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        start.Client(cluster) as dask_client,
        Creatify() as client,
    ):
        dask_client.register_worker_callbacks(hurry)
        print(*dask_client.run(os.getpid).values(), flush=True)  # noqa: T201 - what the test reads
        sys.stdin.readline()
        bag: Any = dask.bag
        rows = bag.from_sequence((row(number) for number in range(60)), npartitions=6)
        results = rows.map_partitions(generate_partition, client=client, journal=sys.argv[1])
        print(json.dumps(results.compute()))  # noqa: T201


if __name__ == "__main__":
    main()
