"""Routes that show."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.responses import HTMLResponse

from ui.server import schemas
from ui.server.images import find_image, sample_rows
from ui.server.routes.context import Anyone, TheWorld
from ui.server.views.audit import audit
from ui.server.views.automation import automation
from ui.server.views.drift import drift
from ui.server.views.finding import find
from ui.server.views.lineage import lineage, verify
from ui.server.views.loop import loop
from ui.server.views.models import model, models
from ui.server.views.predictions import Filter, prediction, predictions, queue
from ui.server.views.rollout import rollout

router = APIRouter()
FOREVER = {"cache-control": "private, max-age=31536000, immutable"}
SAMPLES = 20
STYLES = re.compile(rb"<style>(.*?)</style>", re.DOTALL)


@router.get("/loop")
def get_loop(
    world: TheWorld, _: Anyone, span: Annotated[schemas.Range, Query(alias="range")] = "1h"
) -> schemas.Loop:
    """Everything that the overview shows."""
    return loop(world, span)


@router.get("/rollout")
def get_rollout(world: TheWorld, _: Anyone) -> schemas.Rollout:
    """The state of serving and the judgement of a rollout."""
    return rollout(world)


@router.get("/drift")
def get_drift(world: TheWorld, _: Anyone) -> schemas.Drift:
    """The latest drift report."""
    return drift(world)


@router.get("/drift/report/{version}", response_class=HTMLResponse)
def get_drift_report(version: str, world: TheWorld, _: Anyone) -> Response:
    """A whole drift report as a page."""
    known = {report.version for report in world.store.value.reports}
    if version not in known:
        raise HTTPException(404, "there is no such report")
    path = world.console.home / "store" / "drift_report" / version / "report.html"
    page = path.read_bytes()
    return HTMLResponse(page, headers={**FOREVER, "content-security-policy": report_policy(page)})


def report_policy(page: bytes) -> str:
    """What a report may do: show its own pictures, in the styles that stand in it, no script.

    The styles are named by their hash (Content Security Policy Level 3), so that no other is used.
    """
    styles = " ".join(f"'sha256-{b64encode(sha256(style).digest()).decode()}'"
                      for style in STYLES.findall(page)) or "'none'"
    return (f"default-src 'none'; img-src data:; style-src {styles}; frame-ancestors 'none'; "
            "sandbox")


@router.get("/models")
def get_models(world: TheWorld, _: Anyone) -> list[schemas.ModelRow]:
    """Every model, newest first."""
    return models(world)


@router.get("/models/{version}")
def get_model(version: str, world: TheWorld, _: Anyone) -> schemas.ModelDetail:
    """One model with its evaluation."""
    found = model(world, version)
    if found is None:
        raise HTTPException(404, f"there is no model {version[:20]}")
    return found


@router.get("/predictions")
def get_predictions(
    world: TheWorld, _: Anyone, label: str = "", slot: str = "", q: str = "",
    max_confidence: Annotated[float, Query(ge=0, le=1)] = 1.0, before: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 200,
) -> schemas.Predictions:
    """The latest answers, newest first."""
    return predictions(world, Filter(label, slot, q, max_confidence), before=before, limit=limit)


@router.get("/predictions/{prediction_id}")
def get_prediction(prediction_id: str, world: TheWorld, _: Anyone) -> schemas.PredictionDetail:
    """One answer with its receipt."""
    found = prediction(world, prediction_id)
    if found is None:
        raise HTTPException(404, f"the journal has no prediction {prediction_id[:40]}")
    return found


@router.get("/lineage/{thing:path}")
def get_lineage(thing: str, world: TheWorld, _: Anyone) -> schemas.LineageGraph:
    """Where one thing came from and what came of it."""
    return lineage(world, thing)


@router.post("/verify/{thing:path}")
def post_verify(thing: str, world: TheWorld, _: Anyone) -> schemas.Verified:
    """Every byte that one thing rests on, checked against its hash; changes nothing."""
    return verify(world, thing)


@router.get("/images/{sha256}", response_class=Response,
            responses={200: {"content": {"image/png": {}, "image/jpeg": {}}}})
def get_image(sha256: str, world: TheWorld, _: Anyone) -> Response:
    """The bytes of an image."""
    found = find_image(world.console.home, sha256)
    if found is None:
        raise HTTPException(404, "no image of this hash is kept")
    return Response(found[0], media_type=found[1], headers=FOREVER)


@router.get("/samples")
def get_samples(world: TheWorld, _: Anyone) -> list[schemas.Sample]:
    """Held-out images to try."""
    rows = sample_rows(world.console.home, world.store.value.dataset_version, SAMPLES)
    return [schemas.Sample(image=image, label=label) for image, label in rows]


@router.get("/labels")
def get_labels(world: TheWorld, _: Anyone) -> schemas.Queue:
    """Kept images that a label would help with."""
    return queue(world)


@router.get("/audit")
def get_audit(
    world: TheWorld, _: Anyone, before: int | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.Audit:
    """The audit log, newest first."""
    return audit(world, before=before, limit=limit)


@router.get("/automation")
def get_automation(world: TheWorld, _: Anyone) -> schemas.Automation:
    """Sensors, runs and jobs."""
    return automation(world)


@router.get("/find")
def get_find(world: TheWorld, _: Anyone, q: str = "") -> list[schemas.Part]:
    """Things whose id or name begins with this, each with its page."""
    return find(world, q)


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": schemas.Problem}, 401: {"model": schemas.Problem},
    403: {"model": schemas.Problem}, 404: {"model": schemas.Problem},
    409: {"model": schemas.Problem}, 422: {"model": schemas.Problem},
    502: {"model": schemas.Problem},
}
