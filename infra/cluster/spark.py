"""A standalone Spark cluster: a master and two workers of one core each. The job server is the driver."""

from __future__ import annotations

from infra.cluster.layout import WORKERS, Cluster
from infra.services.configuration import HOST
from infra.services.programs import Program


def programs(cluster: Cluster) -> list[Program]:
    environment = {
        "SPARK_HOME": str(cluster.folder),  # executors take its `jars`
        "SPARK_SCALA_VERSION": "2.12",
        "SPARK_LOCAL_IP": HOST,
        "SPARK_CONF_DIR": str(cluster.conf),
    }
    address = f"spark://{cluster.address('master')}"
    ports = ("--port", str(cluster.ports["master"]), "--webui-port", str(cluster.ports["web"]))
    master = ("org.apache.spark.deploy.master.Master", "--host", HOST, *ports)
    return [
        cluster.java_program("master", master, heap="384m", environment=environment),
        *(
            cluster.java_program(
                f"worker-{number}", _worker(cluster, address, number), heap="256m", environment=environment
            )
            for number in range(1, WORKERS + 1)
        ),
        cluster.job_server(master=("--spark-master-url", address), flags=_driver(cluster), environment=environment),
    ]


def _worker(cluster: Cluster, address: str, number: int) -> tuple[str, ...]:
    limits = ("--cores", "1", "--memory", "1g", "--work-dir", str(cluster.folder / "work" / str(number)))
    return ("org.apache.spark.deploy.worker.Worker", "--host", HOST, "--webui-port", "0", *limits, address)


def _driver(cluster: Cluster) -> tuple[str, ...]:
    """Of every job's Spark context."""
    settings = {
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.ui.enabled": "false",
        "spark.executor.cores": "1",
        "spark.executor.memory": "640m",
        "spark.default.parallelism": str(WORKERS),
        "spark.local.dir": str(cluster.folder / "tmp"),
    }
    return tuple(f"-D{name}={value}" for name, value in settings.items())
