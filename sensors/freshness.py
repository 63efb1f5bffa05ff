"""The freshness sensor: what Dagster finds late is told to whoever watches from outside."""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

Publish = Callable[[Mapping[str, str]], None]


def build_freshness_sensor(
    keys: Sequence[dg.AssetKey], publish: Publish, *, interval_seconds: int
) -> dg.SensorDefinition:
    """The sensor; ``publish`` gets each asset's state: pass, warn, fail or unknown."""

    @dg.sensor(
        name="freshness_sensor", minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Publishes as a metric which assets are late; requests nothing.",
    )
    def freshness_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        records = context.instance.get_freshness_state_records(keys)
        states = {key.to_user_string(): "unknown" for key in keys}
        states |= {key.to_user_string(): record.freshness_state.value.lower()
                   for key, record in records.items()}
        publish(states)
        late = sorted(name for name, state in states.items() if state == "fail")
        return dg.SkipReason(f"late: {', '.join(late)}" if late else "nothing is late")

    return freshness_sensor
