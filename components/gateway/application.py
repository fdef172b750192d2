"""The gateway's paths.

application = Application(frame, router, clock)
application.take(lineup)            # ready from now on; again for every new split document
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from components.exposures.records import DECIDE, Exposure
from components.gateway.clock import Clock
from components.gateway.lineup import Lineup, Served
from components.gateway.lists import draw, read_request, reorder
from components.gateway.measures import RolloutMeasures
from components.gateway.outcomes import micros, read_outcomes
from components.gateway.rollouts import RolloutPages
from components.gateway.routing import Read, Routed, Router
from components.gateway.watching import SplitWatch
from components.serving.application import SERVER_METADATA
from components.serving.asgi import RETRY, Exchange, Frame, HttpError, Route
from components.serving.batching import Computed
from components.serving.binary_tensors import HEADER
from components.serving.measures import PROMETHEUS, expose
from components.serving.protocols import Request
from pipelines.errors import TransientError, one_line

EXPLORATION = "softmax+epsilon"
_encode = msgspec.json.Encoder().encode


class Application:
    def __init__(self, frame: Frame, router: Router, clock: Clock) -> None:
        self.frame, self._router, self._clock = frame, router, clock
        self._lineup: Lineup | None = None
        self._watch: SplitWatch
        self._generator = np.random.default_rng()
        self._gets = {
            "/v2/health/live": Route("live", self._live),
            "/v2/health/ready": Route("ready", self._ready),
            "/v2": Route("server", self._server_metadata),
            "/metrics": Route("metrics", self._metrics, PROMETHEUS),
            "/rollout": Route("rollout", self._rollout),
        }
        self._posts = {"/v1/outcomes": Route("outcomes", self._outcomes)}
        frame.routes = {"GET": self._gets, "POST": self._posts}
        frame.find = RolloutPages().find
        frame.described = "no model is loaded yet"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.frame(scope, receive, send)

    def watch(self, watch: SplitWatch) -> None:
        self._watch = watch

    def take(self, lineup: Lineup) -> None:
        """From now on: requests under way end with the lineup that they began with."""
        name = lineup.split.model
        gets, posts = dict(self._gets), dict(self._posts)
        paths = [("", None), *((f"/versions/{version}", served) for version, served in lineup.served.items())]
        for suffix, served in paths:
            pinned = _Pinned(served, self)
            v1, v2 = f"/v1/models/{name}{suffix}", f"/v2/models/{name}{suffix}"
            gets |= {
                v1: Route("status", pinned.status),
                f"{v1}/metadata": Route("signatures", pinned.signatures),
                v2: Route("metadata", pinned.metadata),
                f"{v2}/ready": Route("ready", self._ready),
            }
            posts[f"{v1}:predict"] = Route("predict", pinned.predict if served else self._predict)
            posts[f"{v2}/infer"] = Route("infer", pinned.infer if served else self._infer)
        posts[f"/v1/models/{name}:decide"] = Route("decide", self._decide)
        self._lineup = lineup
        self.frame.routes = {"GET": gets, "POST": posts}
        self.frame.described = f"this gateway has model {name}, versions {', '.join(lineup.served)}"

    def require_lineup(self) -> Lineup:
        if self._lineup is None:
            raise HttpError(503, "the models are being loaded", RETRY)
        return self._lineup

    async def _predict(self, exchange: Exchange) -> bytes:
        lineup = self.require_lineup()
        request = lineup.champion.protocols.read_predict(exchange.body)

        def read(served: Served) -> Request:
            return served.protocols.read_predict(exchange.body)

        served, computed = await self._answer_rows(lineup, request, exchange, read)
        return served.protocols.write_predict(request, computed.predictions)

    async def _infer(self, exchange: Exchange) -> bytes:
        lineup = self.require_lineup()
        request = lineup.champion.protocols.read_infer(exchange.body, json_bytes=exchange.header(HEADER))

        def read(served: Served) -> Request:
            return served.protocols.read_infer(exchange.body, json_bytes=exchange.header(HEADER))

        served, computed = await self._answer_rows(lineup, request, exchange, read)
        return served.protocols.write_infer(request, computed.predictions)

    async def _answer_rows(
        self, lineup: Lineup, request: Request, exchange: Exchange, read: Any
    ) -> tuple[Served, Computed]:
        """Rows of several units meet each their own arm; then the answer is said to be the champion's."""
        now, decision = self._clock.now(exchange), self._router.new_id()
        exchange.answer_headers.append((b"x-decision-id", decision.encode()))
        if request.examples:
            # Serialized examples are opaque: for nobody, so for the champion.
            predictions = await asyncio.to_thread(lineup.champion.engine.predict_examples, request.examples)
            return lineup.champion, Computed(predictions, 0.0)
        groups = _by_unit(lineup.champion, request.rows)
        if len(groups) == 1:
            [unit] = groups
            routed = await self._answer_unit(
                lineup, unit, request.rows, now, decision, exchange.body, lambda s: read(s).rows
            )
            return routed.served, routed.computed
        parts = [
            self._answer_unit(
                lineup,
                unit,
                [request.rows[index] for index in indices],
                now,
                f"{decision}.{number}",
                None,
                lambda served, indices=indices: [read(served).rows[index] for index in indices],  # type: ignore[misc]
            )
            for number, (unit, indices) in enumerate(groups.items())
        ]
        found = await asyncio.gather(*parts)
        whole = np.concatenate([routed.computed.predictions for routed in found])
        order = np.argsort([index for indices in groups.values() for index in indices])
        return lineup.champion, Computed(whole[order], 0.0)

    async def _answer_unit(
        self,
        lineup: Lineup,
        unit: str,
        rows: Sequence[Struct],
        now: float,
        decision: str,
        body: bytes | None,
        read: Read,
    ) -> Routed:
        routed = await self._router.answer(lineup, unit, rows, now=now, read=read)
        exposure = Exposure(
            decision_id=decision,
            time=micros(now),
            model="",
            unit_id="",
            scores=routed.computed.predictions[:, 0].tolist(),
            # A request of one unit is written down as it came.
            context=body.decode(errors="replace") if body is not None else _encode({"instances": rows}).decode(),
        )
        self._router.expose(lineup, routed, exposure, read)
        return routed

    async def _decide(self, exchange: Exchange) -> bytes:
        lineup, now = self.require_lineup(), self._clock.now(exchange)
        policy = lineup.split.policy
        if policy is None:
            raise HttpError(
                404, "this model has no policy, so it draws no lists; `policy` in its pipeline.yaml gives one"
            )
        request = read_request(exchange.body)
        items, champion = request.items(policy), lineup.champion

        def read(served: Served) -> Sequence[Struct]:
            return request.rows(served, policy)

        rows = read(champion)
        routed = await self._router.answer(lineup, champion.unit_of(rows[0]), rows, now=now, read=read)
        predictions = routed.computed.predictions
        drawn = draw(predictions, policy, request.count, self._generator)
        order = reorder(items, drawn)
        exposure = Exposure(
            decision_id=self._router.new_id(),
            time=micros(now),
            model="",
            unit_id="",
            kind=DECIDE,
            policy_id=policy.id,
            exploration=EXPLORATION,
            temperature=policy.temperature,
            epsilon=policy.epsilon,
            candidate_ids=order,
            scores=reorder(predictions[:, 0].tolist(), drawn),
            propensities=drawn.chosen.tolist(),
            floors=drawn.floors.tolist(),
            normalisers=drawn.normalisers.tolist(),
            context=_encode(request.context).decode(),
            candidates=_encode(reorder(request.candidates, drawn)).decode(),
        )
        self._router.expose(lineup, routed, exposure, read)
        return _encode(
            {
                "decision_id": exposure.decision_id,
                "items": order[: len(exposure.propensities)],
                "model_version": routed.served.version,
                "arm": routed.assignment.arm,
                "propensities": exposure.propensities,
            }
        )

    async def _outcomes(self, exchange: Exchange) -> bytes:
        outcomes = read_outcomes(exchange.body, now=self._clock.now(exchange))
        try:
            await self._router.log.record(outcomes)
        except TransientError as error:
            raise HttpError(503, f"the outcomes are not written, send them again: {one_line(error)}", RETRY) from error
        return _encode({"recorded": len(outcomes)})

    async def _live(self, exchange: Exchange) -> bytes:
        return b'{"live":true}'

    async def _ready(self, exchange: Exchange) -> bytes:
        self.require_lineup()
        if self.frame.draining:
            raise HttpError(503, "the gateway is about to end")
        return b'{"ready":true}'

    async def _server_metadata(self, exchange: Exchange) -> bytes:
        return SERVER_METADATA

    async def _metrics(self, exchange: Exchange) -> bytes:
        return expose(self.frame.traffic, RolloutMeasures(self._router, self._watch, self._clock))

    async def _rollout(self, exchange: Exchange) -> bytes:
        lineup, router = self._lineup, self._router
        return _encode(
            {
                "split": lineup.split if lineup else None,
                "expired": lineup.expired(self._clock.latest) if lineup else None,
                "failure": self._watch.failure,
                "answers": [
                    {"arm": arm, "served": version, "count": number}
                    for (arm, version), number in router.answers.items()
                ],
                "fallbacks": [
                    {"version": version, "why": why, "count": number}
                    for (version, why), number in router.fallbacks.items()
                ],
                "shadow": {state: getattr(router.shadow, state) for state in ("answered", "failed", "left_out")},
                "log": router.log.counts._asdict(),
                "simulated_clock": self._clock.simulated,
            }
        )


class _Pinned:
    """Paths that name a version, and what is told of models: outside of the experiment, and not logged."""

    def __init__(self, served: Served | None, application: Application) -> None:
        self._served, self._application = served, application

    def _model(self) -> Served:
        return self._served or self._application.require_lineup().champion

    async def predict(self, exchange: Exchange) -> bytes:
        protocols = self._model().protocols
        request = protocols.read_predict(exchange.body)
        return protocols.write_predict(request, await self._compute(request))

    async def infer(self, exchange: Exchange) -> bytes:
        protocols = self._model().protocols
        request = protocols.read_infer(exchange.body, json_bytes=exchange.header(HEADER))
        return protocols.write_infer(request, await self._compute(request))

    async def _compute(self, request: Request) -> Any:
        model = self._model()
        if request.examples:
            return await asyncio.to_thread(model.engine.predict_examples, request.examples)
        return (await model.batcher.predict(request.rows)).predictions

    async def status(self, exchange: Exchange) -> bytes:
        lineup = self._application.require_lineup()
        shown = [self._served.version] if self._served else list(lineup.served)
        state = "UNLOADING" if self._application.frame.draining else "AVAILABLE"
        ok = {"error_code": "OK", "error_message": ""}
        return _encode({"model_version_status": [{"version": each, "state": state, "status": ok} for each in shown]})

    async def signatures(self, exchange: Exchange) -> bytes:
        model = self._model()
        kind = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        name = self._application.require_lineup().split.model
        signatures = {"@type": kind, "signature_def": model.engine.signatures}
        return _encode(
            {"model_spec": {"name": name, "version": model.version}, "metadata": {"signature_def": signatures}}
        )

    async def metadata(self, exchange: Exchange) -> bytes:
        lineup, model = self._application.require_lineup(), self._model()
        versions = [self._served.version] if self._served else list(lineup.served)
        described = {"name": lineup.split.model, "versions": versions, "platform": "tensorflow_savedmodel"}
        return _encode(described | model.protocols.describe_tensors())


def _by_unit(champion: Served, rows: Sequence[Struct]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(champion.unit_of(row), []).append(index)
    return groups
