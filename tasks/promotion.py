"""Promote a registered model to the champion of its name, unless the present one is better."""

import json
from dataclasses import dataclass

from gpt_core.artifact import verify
from gpt_core.config import RunConfig
from gpt_core.errors import ConfigError, GPTCoreError
from tasks.gate import Verdict, compare
from tasks.notifications import Message, send_message
from tasks.progress import current_display
from tasks.reads import REGISTERED, Given
from tasks.tracking import FlowRecord, RegisteredVersion
from tasks.tracking.champions import champion_of, crown, promoting, refuse, roll_back
from tasks.tracking.registry import CANDIDATE, find_version

_WAITING = "another promotion is running: waiting for its end"


@dataclass(frozen=True, kw_only=True, slots=True)
class Promotion:
    """The outcome of a promotion."""

    version: RegisteredVersion
    before: RegisteredVersion | None
    """The champion until then."""

    verdict: Verdict | None
    """None if there was nothing to compare with."""

    is_champion: bool
    """Whether the version is the champion now."""

    sentence: str


def named_version(name: str) -> RegisteredVersion:
    """The version that ``NAME``, ``NAME@VERSION`` or an address of the registry means.

    Raises:
        DataError: If there is none.
    """
    if name.startswith(REGISTERED):
        return find_version(name)
    model, _, version = name.partition("@")
    version = version or CANDIDATE
    return find_version(f"{REGISTERED}{model}{'/' if version.isdecimal() else '@'}{version}")


def promote(version: RegisteredVersion, config: RunConfig, reason: str | None = None) -> Promotion:
    """Make a version the champion of its name, if it is no worse than the present one.

    Args:
        version: The version.
        config: The benchmarks and the amount of text that decide.
        reason: Promote it also if it is worse or cannot be compared, for this reason.

    Raises:
        DataError: If the two cannot be compared, and there is no reason.
    """
    with promoting(lambda: current_display().notice(_WAITING)):
        before = champion_of(version.name)
        if before is not None and before.version == version.version:
            return _outcome(version, before, None, promoted=True, because="it is that already")
        verdict, problem = None, ""
        if before is not None:
            try:
                verdict = _compare(version, before, config)
            except GPTCoreError as error:
                if reason is None:
                    raise
                problem = str(error)
        worse = verdict.worse if verdict else ()
        if worse and reason is None:
            because = "; ".join(row.sentence() for row in worse)
            refuse(version, {**_table(verdict), "refused.because": because})
            return _outcome(version, before, verdict, promoted=False, because=because)
        because = _reason(before, verdict, problem)
        notes = {**_table(verdict), "promoted.because": because}
        crown(version, notes if reason is None else {**notes, "promoted.reason": reason})
        return _outcome(version, before, verdict, promoted=True, because=because)


def take_back(name: str) -> tuple[RegisteredVersion, RegisteredVersion]:
    """Make the champion before the present one the champion again.

    Returns:
        The champion until now, and the present one.

    Raises:
        DataError: If there is none before.
        ConfigError: If a version is named.
    """
    model = name.removeprefix(REGISTERED)
    if "@" in model or "/" in model:
        raise ConfigError(
            "--rollback goes back to the champion before, so that no version is named: "
            f"gptflow promote {model.replace('/', '@').partition('@')[0]} --rollback"
        )
    with promoting(lambda: current_display().notice(_WAITING)):
        find_version(f"{REGISTERED}{model}")
        return roll_back(model)


def promote_models(record: FlowRecord, config: RunConfig) -> None:
    """Promote the models that a flow made, each by the gate, and note the outcome on its run.

    A model that takes the place of another champion is also a message.
    """
    for version in {each.name: each for each in record.models}.values():
        try:
            outcome = promote(version, config)
            sentence = outcome.sentence
            if outcome.is_champion and outcome.verdict is not None:
                title = f"{version.name} has a better model"
                send_message(Message("better", title, sentence), config.notify)
        except GPTCoreError as error:
            sentence = f"{version.name} {version.version} was not promoted: {error}"
        record.tag(f"promotion.{version.name}", sentence)
        current_display().notice(sentence)


def _compare(version: RegisteredVersion, before: RegisteredVersion, config: RunConfig) -> Verdict:
    models = []
    for each in (version, before):
        model = Given(each.uri, "checkpoint").read()
        verify(model)
        models.append(model)
    return compare(models[0], models[1], config)


def _reason(before: RegisteredVersion | None, verdict: Verdict | None, problem: str) -> str:
    if before is None:
        return "there was no champion"
    if verdict is None:
        return f"it could not be compared: {problem}"
    return "; ".join(row.sentence() for row in (verdict.worse or verdict.deciding))


def _outcome(
    version: RegisteredVersion,
    before: RegisteredVersion | None,
    verdict: Verdict | None,
    *,
    promoted: bool,
    because: str,
) -> Promotion:
    name = f"{version.name} version {version.version}"
    if promoted:
        sentence = f"{name} is the champion: {because}"
    else:
        assert before is not None
        worse = verdict is not None and any(not row.gain >= 0 for row in verdict.worse)
        compared = "worse" if worse else "no better"
        sentence = f"{name} is {compared} than the champion, version {before.version}: {because}"
    return Promotion(
        version=version, before=before, verdict=verdict, is_champion=promoted, sentence=sentence
    )


def _table(verdict: Verdict | None) -> dict[str, str]:
    """Every measured metric, as a tag of the version."""
    if verdict is None:
        return {}
    rows = [[row.test, row.metric, row.candidate, row.champion] for row in verdict.rows]
    return {"compared": json.dumps(rows)}
