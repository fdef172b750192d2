"""A real Flink or Spark cluster on this machine: two workers, a job server and a pool of warm Python workers, on loopback.

daybreak cluster up flink
daybreak cluster status flink
daybreak cluster down flink

Jars come from Maven, pinned in `<kind>/pom.xml` and checked against `<kind>/jars.sha256`.
"""
