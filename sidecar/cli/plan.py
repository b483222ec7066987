"""`sidecar plan`: what a configuration will ask of AWS, before anything starts."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from sidecar.cli.configured import read_config
from sidecar.cli.exits import Exit
from sidecar.cli.options import config_option, json_option, read_seconds
from sidecar.cli.tables import columns, span
from sidecar.core.config.models import Config
from sidecar.core.outlook import SLOW_START, Stretch
from sidecar.core.prices import PRICED_ON
from sidecar.planning.plan import TREE_SIZE, OperationPlan, Plan, QuotaPlan, Wishes, build_plan

LEFT_OUT = (
    "Left out: values on demand, changes, failures, credentials (STS), free tiers; every parameter is taken for a "
    "SecureString and for a standard one, every object for one under SSE-KMS."
)


@click.command("plan", epilog="Example: sidecar plan --pods 1000 --config sidecar.yaml")
@click.option("--pods", type=click.IntRange(min=1), default=1, show_default=True, help="How many copies run.")
@click.option(
    "--tree-size",
    type=click.IntRange(min=0),
    default=TREE_SIZE,
    show_default=True,
    help="How many parameters are taken to be below each tree's path.",
)
@click.option(
    "--start-within",
    callback=read_seconds,
    metavar="DURATION",
    default=f"{SLOW_START:g}s",
    show_default=True,
    help="How long a cold start of all copies at once may take.",
)
@config_option
@json_option
@click.pass_context
def command(  # noqa: PLR0913 -- one for each option
    ctx: click.Context, *, pods: int, tree_size: int, start_within: float, config: Path | None, as_json: bool
) -> None:
    """Tell what a configuration will ask of AWS, what that costs, and whether the quotas suffice.

    AWS is not asked. Ends with 0 where everything fits, with 1 where a quota does not suffice: then it says how that
    one is raised. Also with 1 where `quotas.budget` cannot be kept.
    """
    read = read_config(config, os.environ)
    plan = build_plan(read, region_in(read, os.environ), Wishes(pods, tree_size, start_within))
    click.echo(json.dumps(as_record(plan), indent=2) if as_json else "\n".join(page(plan)))
    kept = plan.stretch is None or plan.stretch.kept
    ctx.exit(Exit.DONE if plan.fits and kept else Exit.FAILED)


def region_in(config: Config, environ: Mapping[str, str]) -> Callable[[str], str]:
    """Say where an identity is, as far as the configuration and the environment tell."""
    elsewhere = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
    return lambda identity: config.identities[identity].region or elsewhere


def page(plan: Plan) -> Iterator[str]:
    """Lay the plan out for the eye."""
    yield _headline(plan)
    yield ""
    yield from columns([("OPERATION", "REQUESTS/H", "AT START", "$/MONTH"), *map(_operation_row, plan.operations)])
    dollars = _dollars(plan.monthly_dollars)
    yield f"{plan.hourly:,.0f} requests an hour, {dollars} a month by list prices of {PRICED_ON}."
    yield ""
    head = ("QUOTA", "ACCOUNT", "REGION", "LIMIT/S", "OURS/S", "STEADY/S", "OF LIMIT", "AT START", "TAKES", "")
    yield from columns([head, *map(_quota_row, plan.quotas)])
    yield f"A cold start of {_copies(plan)} takes about {span(plan.start_seconds)}."
    if plan.stretch:
        yield _budget_line(plan.stretch)
    yield LEFT_OUT
    for quota in plan.quotas:
        yield from _way_out(quota)


def _headline(plan: Plan) -> str:
    trees = f" and {_some(plan.trees, 'tree')} of {_some(plan.wishes.tree_size, 'parameter')}" if plan.trees else ""
    return f"{_copies(plan)}, polling {_some(plan.secrets, 'secret')}{trees}"


def _copies(plan: Plan) -> str:
    return "1 copy" if plan.wishes.copies == 1 else f"{plan.wishes.copies:,} copies"


def _some(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _operation_row(operation: OperationPlan) -> tuple[str, ...]:
    name = f"{operation.service} {operation.operation}" + (" (by AWS for us)" if operation.on_behalf else "")
    return name, _number(operation.hourly), _number(operation.at_start), f"{operation.monthly_dollars:,.2f}"


def _quota_row(quota: QuotaPlan) -> tuple[str, ...]:
    return (
        quota.quota,
        quota.scope.account,
        quota.scope.region or "?",
        f"{quota.limit:,g}",
        f"{quota.ours:,g}",
        _number(quota.steady),
        f"{quota.steady / quota.limit:.2%}",
        _number(quota.at_start),
        span(quota.start_seconds),
        "" if quota.fits else "does not suffice",
    )


def _way_out(quota: QuotaPlan) -> Iterator[str]:
    if way := quota.way_out:
        yield ""
        where = f" in {quota.scope.region}" if quota.scope.region else ""
        yield f"{quota.quota}{where}: {quota.needed:,} a second would suffice. {way.note}"
        if way.command:
            yield f"  {way.command}"


def _budget_line(stretch: Stretch) -> str:
    as_configured = f"{_dollars(stretch.wanted)} a month as configured"
    lengthened = f"{_dollars(stretch.dollars)} with intervals {stretch.factor:.2f} times as long"
    costs = f"{as_configured}, {lengthened}" if stretch.factor > 1 else as_configured
    verdict = "within" if stretch.kept else "intervals lengthen no further, which is over"
    return f"Each copy costs {costs}: {verdict} its budget of {_dollars(stretch.budget)}."


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= _CENT or not amount else f"${amount:.2g}"


def _number(value: float) -> str:
    """Write a number of requests with as many digits as say something."""
    if value and value < _LEAST:
        return f"<{_LEAST}"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.3g}"  # noqa: PLR2004 -- three digits


_LEAST = 0.001
_CENT = 0.01


def as_record(plan: Plan) -> dict[str, object]:
    """Say the plan to programs: requests by hour and second, dollars by month, seconds."""
    return {
        "pods": plan.wishes.copies,
        "secrets": plan.secrets,
        "trees": plan.trees,
        "tree_size": plan.wishes.tree_size,
        "fits": plan.fits,
        "requests_per_hour": plan.hourly,
        "dollars_per_month": plan.monthly_dollars,
        "priced_on": PRICED_ON,
        "start_seconds": plan.start_seconds,
        "start_within_seconds": plan.wishes.start_within,
        "operations": [
            {
                "service": each.service,
                "operation": each.operation,
                "on_behalf": each.on_behalf,
                "requests_per_hour": each.hourly,
                "at_start": each.at_start,
                "dollars_per_month": each.monthly_dollars,
            }
            for each in plan.operations
        ],
        "quotas": [_quota_record(each) for each in plan.quotas],
        "budget": _budget_record(plan.stretch),
    }


def _quota_record(quota: QuotaPlan) -> dict[str, object]:
    way = quota.way_out
    return {
        "quota": quota.quota,
        "account": quota.scope.account,
        "region": quota.scope.region or None,
        "limit_per_second": quota.limit,
        "ours_per_second": quota.ours,
        "steady_per_second": quota.steady,
        "part_of_limit": quota.steady / quota.limit,
        "at_start": quota.at_start,
        "start_seconds": quota.start_seconds,
        "fits": quota.fits,
        "needed_per_second": quota.needed,
        "command": way.command if way else None,
        "note": way.note if way else None,
    }


def _budget_record(stretch: Stretch | None) -> dict[str, object] | None:
    """Say what a budget does to one copy; None without one."""
    if stretch is None:
        return None
    return {
        "dollars_per_month": stretch.budget,
        "configured_dollars_per_month": stretch.wanted,
        "planned_dollars_per_month": stretch.dollars,
        "stretch": stretch.factor,
        "kept": stretch.kept,
    }
