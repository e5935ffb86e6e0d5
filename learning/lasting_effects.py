"""What is likely to stay of an arm that won: who wins was also lucky, and past experiments tell how much that is."""

from collections.abc import Sequence

from learning.differences import NoNumber
from learning.experiment_findings import ArmFinding, ExperimentFindings
from learning.shrinkage import PastEffect, shrunk_by_past


def with_past(found: ExperimentFindings, past: Sequence[PastEffect]) -> ExperimentFindings:
    """What was found, with what is likely to stay of each arm that brought more; `past` are effects in points.

    They are those of the arms of other experiments that came to the end of their plan, winners and losers alike: of
    winners alone they would say that everything stays.
    """
    if not found.looks or found.looks[-1] < 1:
        return found
    arms = [_with_past(one, past) if one.verdict == "better" else one for one in found.arms]
    said = [
        f"Of what {one.arm} brings about {one.stays:.1f} points are likely to stay, "
        f"between {one.stays_from:+.1f} and {one.stays_to:+.1f}."
        for one in arms
        if one.stays is not None
    ]
    return found.model_copy(update={"arms": arms, "sentence": " ".join([found.sentence, *said])})


def _with_past(one: ArmFinding, past: Sequence[PastEffect]) -> ArmFinding:
    assert one.difference is not None
    assert one.error is not None
    said = shrunk_by_past(one.difference, one.error, past)
    if isinstance(said, NoNumber):
        return one.model_copy(update={"no_stays": said.reason})
    interval = {"stays_from": said.interval.low, "stays_to": said.interval.high}
    return one.model_copy(update={"stays": said.estimate, **interval})
