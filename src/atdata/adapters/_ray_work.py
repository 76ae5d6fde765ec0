"""Work on whole shards on a Ray cluster."""

import pickle
from collections.abc import Generator
from dataclasses import replace
from typing import Any

from atdata.adapters._ray_shared import anywhere, cluster, dumps
from atdata.dataset._workers import (
    Job,
    Message,
    Outcome,
    ShardQueue,
    ShardTask,
    attempt,
    outcome_of,
    packed_error,
)

_AT_A_TIME = 1000


def on_ray(job: Job, queue: ShardQueue, workers: int | None) -> Generator[Outcome]:
    """Work on shards on a Ray cluster; each shard that ends is given at once."""
    ray = cluster()
    parts = tuple(map(anywhere, job.parts))
    sent = ray.put(dumps(replace(job, parts=parts)))
    work = ray.remote(_work).options(max_retries=queue.deaths, name="process_shards")
    running: dict[Any, ShardTask] = {}
    try:
        while queue or running:
            while queue and len(running) < (workers or _AT_A_TIME):
                task = queue.take()
                running[work.remote(sent, _for_elsewhere(task))] = task
            for ref in ray.wait(list(running), num_returns=1)[0]:
                task = running.pop(ref)
                try:
                    outcome = outcome_of(task, ray.get(ref), queue)
                except ray.exceptions.RayError as error:
                    outcome = task, None, error
                if outcome is not None:
                    yield outcome
    finally:
        for ref in running:
            ray.cancel(ref, force=True)


def _work(packed: bytes, task: ShardTask) -> Message:
    """What a Ray task does: one shard."""
    try:
        job: Job = pickle.loads(packed)  # noqa: S301 - from `on_ray`
    except BaseException as error:
        return "unfit", packed_error(error, dumps)
    return attempt(job, task, dumps)


def _for_elsewhere(task: ShardTask) -> ShardTask:
    """The same shard, for another machine."""
    pieces = [
        (part, {**facts, "count": count and replace(count, identity=())})
        for part, facts in task.pieces
        for count in [facts["count"]]
    ]
    return replace(task, pieces=tuple(pieces))
