"""The services of one machine: PostgreSQL, Airflow, MLflow and the warm worker, under one supervisor.

    from infra.services.configuration import Configuration
    from infra.services.lifecycle import bring_down, bring_up

    configuration = Configuration.read(Settings.from_environment(), airflow_port=8081)
    bring_up(configuration, report=print)       # idempotent: starts what is missing, repairs what died
    bring_down(configuration, report=print)     # nothing is left running

Everything listens on 127.0.0.1 or on Unix sockets in folders of mode 0700; everything written lies in `<state>`.
"""
