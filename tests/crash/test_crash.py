"""Everything is killed at random under load, and nothing is lost, doubled or stuck. And the judge is no fool."""

import ast
import copy
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.slowness import slowness
from tests.crash import check_releases, checker, evidence
from tests.crash.evidence import Evidence, Row
from tests.crash.harness import Verdict, crash

SEED = int(os.environ.get("SEED", "7"))

pytestmark = pytest.mark.timeout(420)


@pytest.fixture(scope="module")
async def verdict(session_folder: Path) -> AsyncIterator[Verdict]:
    folder = session_folder / "crash"
    # As many households come and as many parts are killed as elsewhere, in as much more time.
    load_for = timedelta(seconds=27 * slowness())
    yield await crash(SEED, load_for, folder, pause=(0.6, 1.8), at_least=20, pace=2)
    shutil.rmtree(folder, ignore_errors=True)


async def test_every_promise_is_kept_while_everything_is_killed(verdict: Verdict) -> None:
    assert not verdict.problems, str(verdict)
    assert verdict.kills.total() >= 20, str(verdict)


# ---- the judge: each of these is a promise broken, and it must say so ----------------------------


def lost_event(seen: Evidence) -> None:
    seen.tables["events"].remove(next(row for row in seen.tables["events"] if row["source"] == "/crash"))


def event_counted_twice(seen: Evidence) -> None:
    seen.tables["players"][0]["state"]["counts"]["player.registered"] += 1


def event_of_another_content(seen: Evidence) -> None:
    row = next(row for row in seen.tables["events"] if row["type"] == "payment.deposit_approved")
    row["data"]["amount_minor"] += 1


def reward_paid_twice(seen: Evidence) -> None:
    seen.ledger.append(next(record for record in seen.ledger if record["kind"] == "grant"))


def reward_never_paid(seen: Evidence) -> None:
    seen.ledger.remove(next(record for record in seen.ledger if _stayed(seen, record["key"])))


def reward_nobody_was_to_get(seen: Evidence) -> None:
    record = next(record for record in seen.ledger if record["kind"] == "grant")
    seen.ledger.append(record | {"key": "crash_deposit:demo:stranger:1/grant:points#1"})


def reward_unknown_for_ever(seen: Evidence) -> None:
    seen.tables["grants"][0]["status"] = "unknown"


def mail_sent_twice(seen: Evidence) -> None:
    seen.mails.append(seen.mails[0])


def mail_never_sent(seen: Evidence) -> None:
    seen.mails.remove(next(mail for mail in seen.mails if mail["key"][:5] == "crash" and _stayed(seen, mail["key"])))


def push_never_sent(seen: Evidence) -> None:
    gone = next(hook["webhook_id"] for hook in seen.webhooks["push"] if _stayed(seen, hook["webhook_id"]))
    seen.webhooks["push"] = [hook for hook in seen.webhooks["push"] if hook["webhook_id"] != gone]


def answer_forgotten(seen: Evidence) -> None:
    _answered(seen)["state"] = "cancelled"


def answer_changed(seen: Evidence) -> None:
    _answered(seen)["answer"] = {"word": "another", "outcome": "not_possible"}


def run_never_entered(seen: Evidence) -> None:
    seen.tables["runs"].remove(next(row for row in seen.tables["runs"] if row["journey"] == "crash_deposit"))


def run_stuck(seen: Evidence) -> None:
    run = next(row for row in seen.tables["runs"] if row["journey"] == "crash_deposit")
    run["state"] = "active"
    seen.open_workflows.add(run["id"])


def workflow_stuck(seen: Evidence) -> None:
    seen.open_workflows.add(next(row["id"] for row in seen.tables["runs"] if row["journey"] == "crash_first"))


def workflow_lost(seen: Evidence) -> None:
    next(row for row in seen.tables["runs"] if row["journey"] == "crash_deposit")["state"] = "active"


def delivery_stuck(seen: Evidence) -> None:
    seen.tables["deliveries"].append({"run_id": "r", "seq": 1, "attempts": 9, "last_error": "UNAVAILABLE"})


def delivery_buried(seen: Evidence) -> None:
    seen.tables["dead_letters"].append({"run_id": "r", "seq": 1, "reason": "lost"})


def player_disturbed(seen: Evidence) -> None:
    row = next(row for row in seen.tables["messages"] if row["status"] == "sent" and row["channel"] == "email")
    _leaves(seen, row["player_id"], row["handed_over_at"] - timedelta(seconds=1))


def player_disturbed_by_a_late_mail(seen: Evidence) -> None:
    mail = seen.mails[0]
    _leaves(seen, mail["key"].split(":")[2], datetime.fromisoformat(mail["at"]) - timedelta(minutes=1))


def personal_data_leaked(seen: Evidence) -> None:
    seen.leaks.append("temporal.db-wal")


def nothing_worked(seen: Evidence) -> None:
    seen.at_once = seen.operations // 3


def the_api_failed(seen: Evidence) -> None:
    seen.outcomes["500"] = 1


def later_release_played_by_nobody_who_moved(seen: Evidence) -> None:
    untold = f"{check_releases.MOVED}:demo:p-untold:0123456789ab"
    seen.mails.append(seen.mails[0] | {"key": check_releases.mail_of_later(untold)})


def move_never_ended(seen: Evidence) -> None:
    seen.journal.append({"what": "moving", "at": datetime.now(UTC).isoformat(), "version": 2})


def provider_called_for_a_shadow(seen: Evidence) -> None:
    seen.mails.append(seen.mails[0] | {"key": f"shadow-1:{seen.mails[0]['key']}"})


FAULTS: dict[Callable[[Evidence], None], str] = {
    lost_event: r"acknowledged and is gone",
    event_counted_twice: r"had 1 of player\.registered, and 2 were counted",
    event_of_another_content: r"kept with another content",
    reward_paid_twice: r"paid 2 times",
    reward_never_paid: r"Reward .* never came",
    reward_nobody_was_to_get: r"Reward .* came without a reason",
    reward_unknown_for_ever: r"is still unknown",
    mail_sent_twice: r"handed over 2 times",
    mail_never_sent: r"Mail .* never came",
    push_never_sent: r"push .* never came",
    answer_forgotten: r"was answered and is cancelled",
    answer_changed: r"keeps another answer",
    run_never_entered: r"was never entered",
    run_stuck: r"is still under way",
    workflow_stuck: r"open in Temporal and over here",
    workflow_lost: r"active here and closed in Temporal",
    delivery_stuck: r"waits, after 9 attempts",
    delivery_buried: r"was buried",
    player_disturbed: r"was let pass after .* left alone",
    player_disturbed_by_a_late_mail: r"reached a player who had been promised to be left alone",
    personal_data_leaked: r"temporal\.db-wal holds personal data",
    nothing_worked: r"Too little was tried",
    the_api_failed: r"answered 500 1 times",
    later_release_played_by_nobody_who_moved: r"its run was never told to move",
    move_never_ended: r"1 of 1 moves .* did not come to their end",
    provider_called_for_a_shadow: r"A provider was called for a shadow",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_the_checker_finds_each_broken_promise(fault: Callable[[Evidence], None], verdict: Verdict) -> None:
    tampered = copy.deepcopy(verdict.evidence)
    fault(tampered)
    before = set(checker.check(verdict.evidence))
    found = [problem for problem in checker.check(tampered) if problem not in before]
    pattern = re.compile(FAULTS[fault])
    assert any(pattern.search(problem) for problem in found), found


def test_the_checker_shares_nothing_with_what_it_judges() -> None:
    ours = {"tests.crash.evidence", "tests.crash.check_releases"}
    for module in (checker, check_releases, evidence):
        assert module.__file__ is not None
        imported = {
            name.partition(".")[0]
            for node in ast.walk(ast.parse(Path(module.__file__).read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and node.module not in ours
                else []
            )
        }
        assert imported - sys.stdlib_module_names <= {"psycopg", "temporalio"}


def _stayed(seen: Evidence, key: str) -> bool:
    return not any(line["what"] == "excluded" and line["player"] == key.split(":")[2] for line in seen.journal)


def _answered(seen: Evidence) -> Row:
    answered = {line["task"] for line in seen.journal if line["what"] == "answered"}
    return next(row for row in seen.tables["tasks"] if row["id"] in answered)


def _leaves(seen: Evidence, player: str, at: datetime) -> None:
    seen.journal.append({"what": "excluded", "at": at.astimezone(UTC).isoformat(), "player": player})
