"""The gateway: every model of a split document behind one address, each unit in its arm, what was shown written down.

    python -m components.gateway --split split.json --log PATH --port 8600

    POST /v1/models/shop:decide        {"context": {"user_id": "u7"}, "candidates": [{"item_id": "i1"}, …], "count": 10}
    POST /v1/models/shop:predict, /v2/models/shop/infer        as `components.serving`
    POST /v1/outcomes                  {"outcomes": [{"outcome_id": "c1", "decision_id": "…", "name": "clicked", "value": 1}]}
    GET  /rollouts, /rollouts/ID       the page for people
    GET  /rollout, /metrics, /v2/health/live, /v2/health/ready

docs/gateway.md tells what it logs, and what it does when something is down.
"""
