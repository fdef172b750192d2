"""Beam's external worker pool with the heavy imports done: a worker is a fork, not a Python that starts.

    python -m pipelines.worker_pool --port 50000      # one per machine of a Flink or Spark cluster

A task manager asks the pool for a worker and the worker connects back to it. Against Beam's own pool: loopback only
(whoever reaches the port runs code), and no 10 to 30 seconds of TensorFlow imports per worker and node of the pipeline.
Code of the platform and of pipeline folders is imported by the worker itself, so each job runs today's code.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import multiprocessing
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from pipelines.warm_imports import HEAVY

HOST = "127.0.0.1"
GRACE_SECS = 10.0


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):  # type: ignore[misc]
    """Forks come from multiprocessing's fork server, which holds the imports and neither threads nor gRPC."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(HEAVY))
        self._workers: dict[tuple[str, str], BaseProcess] = {}
        """By connection and id: two task managers number their workers alike."""
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Returns when the imports are done."""
        first = self._context.Process(target=_nothing)
        first.start()
        first.join()

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        arguments = (request.worker_id, request.control_endpoint.url)
        worker = self._context.Process(target=_work, args=arguments, daemon=True)
        try:
            worker.start()
        except OSError as error:
            return beam_fn_api_pb2.StartWorkerResponse(error=f"no worker could be forked: {error}")
        with self._lock:
            self._workers = {key: known for key, known in self._workers.items() if known.is_alive()}
            self._workers[context.peer(), request.worker_id] = worker
        logging.info("worker %s is process %s", request.worker_id, worker.pid)
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: N802
        """One that is not found has seen its control channel close, or will."""
        with self._lock:
            worker = self._workers.pop((context.peer(), request.worker_id), None)
        if worker is not None:
            _end(worker)
        return beam_fn_api_pb2.StopWorkerResponse()

    def stop(self) -> None:
        with self._lock:
            workers, self._workers = list(self._workers.values()), {}
        for worker in workers:
            _end(worker)


def _work(worker_id: str, control_url: str) -> None:
    """In the fork. Ends when the task manager closes the control channel, or is gone."""
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    SdkHarness(control_url, worker_id=worker_id).run()


def _nothing() -> None:
    """Being forked is all that is asked."""


def _end(worker: BaseProcess) -> None:
    worker.terminate()
    worker.join(GRACE_SECS)
    if worker.is_alive():
        worker.kill()
        worker.join()


@contextlib.contextmanager
def serving(port: int = 0) -> Iterator[int]:
    """A warm pool on loopback; gives the port, `port` or a free one."""
    pool = WorkerPool()
    pool.warm_up()
    server = grpc.server(ThreadPoolExecutor())
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    bound = server.add_insecure_port(f"{HOST}:{port}")
    server.start()
    try:
        yield bound
    finally:
        server.stop(grace=None).wait()
        pool.stop()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.worker_pool", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with serving(arguments.port) as port:
        logging.info("workers can be asked for at %s:%d", HOST, port)
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
