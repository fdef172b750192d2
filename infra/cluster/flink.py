"""A standalone Flink session cluster: a job manager and two task managers of one slot each."""

from __future__ import annotations

from infra.cluster.layout import WORKERS, Cluster
from infra.services.configuration import HOST
from infra.services.programs import Program

RESTARTS = 5
"""Of a job of which a task manager was lost: the supervisor brings another one within seconds."""


def programs(cluster: Cluster) -> list[Program]:
    configuration = ("--configDir", str(cluster.conf))
    manager = ("org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint", *configuration)
    worker = ("org.apache.flink.runtime.taskexecutor.TaskManagerRunner", *configuration)
    return [
        cluster.java_program("job-manager", manager, heap="512m", environment={}),
        *(
            cluster.java_program(
                f"task-manager-{number}", worker, heap="640m", flags=("-XX:MaxDirectMemorySize=640m",), environment={}
            )
            for number in range(1, WORKERS + 1)
        ),
        cluster.job_server(master=("--flink-master", f"http://{cluster.address('web')}"), environment={}),
    ]


def files(cluster: Cluster) -> dict[str, str]:
    # Memory is given part by part: Flink derives it only in its own start scripts.
    settings = {
        "jobmanager.rpc.address": HOST,
        "jobmanager.rpc.port": cluster.ports["master"],
        "jobmanager.bind-host": HOST,
        "jobmanager.memory.process.size": "1g",
        "rest.address": HOST,
        "rest.bind-address": HOST,
        "rest.port": cluster.ports["web"],
        "taskmanager.host": HOST,
        "taskmanager.bind-host": HOST,
        "taskmanager.numberOfTaskSlots": 1,
        "taskmanager.cpu.cores": 1.0,
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.task.heap.size": "512m",
        "taskmanager.memory.task.off-heap.size": "0m",
        "taskmanager.memory.network.min": "384m",
        "taskmanager.memory.network.max": "384m",
        # Of each exchange of a stage; with the default of 512 a job of some dozen groupings finds none left.
        "taskmanager.network.sort-shuffle.min-buffers": 64,
        "taskmanager.memory.managed.size": "256m",
        "taskmanager.memory.jvm-metaspace.size": "256m",
        "taskmanager.memory.jvm-overhead.min": "128m",
        "taskmanager.memory.jvm-overhead.max": "128m",
        "parallelism.default": WORKERS,
        "io.tmp.dirs": cluster.folder / "tmp",
        "heartbeat.interval": 2000,
        "heartbeat.timeout": 20000,
        "cluster.registration.error-delay": 2000,
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": RESTARTS,
        "restart-strategy.fixed-delay.delay": "5 s",
        # Beam lies on the class path of the cluster.
        "classloader.resolve-order": "parent-first",
    }
    return {"config.yaml": "".join(f"{name}: {value}\n" for name, value in settings.items())}
