"""docker-compose.yml and the Dockerfile say what the code does; no Docker engine is needed to see it."""

import json
import re
import runpy
import subprocess
import sys
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version
from starlette.routing import Match

from activities.settings import Settings, settings_from
from api.bounded_protocol import BODY_SILENCE, HEAD_TIMEOUT
from api.bounds import ITEM
from api.integrations.authorization import SEGMENT
from local.temporal import SETTINGS as LOCAL_TEMPORAL
from workflows.channels import MESSENGERS
from workflows.errors import DesignError

ROOT = Path(__file__).parent.parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service.get("image") == "player-journeys"]
NGINX = (ROOT / "nginx.conf").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# Addresses whose defaults point at the development stack.
PRODUCTION = {
    "BONUS_ENGINE_URL",
    "SMTP_URL",
    "SMS_WEBHOOK_URL",
    "PUSH_WEBHOOK_URL",
    "MAIL_FROM",
    "PUBLIC_URL",
    "BRAND_NAMES",
}
#: Each stands in a file.
SECRET = {
    "DATABASE_URL",
    "LINK_SECRETS",
    "SMS_WEBHOOK_SECRET",
    "PUSH_WEBHOOK_SECRET",
    *(f"{messenger.upper()}_WEBHOOK_SECRET" for messenger in MESSENGERS),
    "WEBHOOK_SECRET",
    "SMTP_PASSWORD",
    "REGISTER_TOKEN",
    "REGISTER_HASH_KEY",
}
#: Variables that libpq and the SDK of Temporal read, and the one that names the folder of the others.
READ_BY_OTHERS = re.compile(r"TEMPORAL_(ADDRESS|NAMESPACE|TLS\w*)|PGSSL(MODE|ROOTCERT|CERT|KEY)|SECRETS_FOLDER")


def help_of(module: str, *words: str) -> str:
    """What `python -m module words --help` prints, without a process that imports everything again."""
    with redirect_stdout(StringIO()) as printed, pytest.MonkeyPatch.context() as patch, suppress(SystemExit):
        patch.setattr(sys, "argv", [module, *words, "--help"])
        runpy.run_module(module, run_name="__main__")
    return printed.getvalue()


def environment(name: str) -> dict[str, str]:
    variables: dict[str, str] = SERVICES[name]["environment"]
    return variables


def test_the_stack_has_every_part_of_production() -> None:
    assert {"postgres", "migrate", "api", "worker", "temporal", "temporal-schema", "temporal-ui"} <= set(SERVICES)
    assert OURS == ["migrate", "retention", "api", "worker"]


@pytest.mark.parametrize(
    "command",
    [SERVICES[name]["command"] for name in OURS] + [json.loads(DOCKERFILE.rsplit("CMD ", 1)[1])],
    ids=[*OURS, "Dockerfile"],
)
def test_a_command_is_one_the_code_has(command: list[str]) -> None:
    python, flag, module, *rest = command
    assert (python, flag) == ("python", "-m")
    words = [word for word in rest if not word.startswith("--")]
    subcommand = words[:1] if module == "cli" else []
    known = help_of(module, *subcommand)
    assert "Usage:" in known
    for option in (word for word in rest if word.startswith("--")):
        assert option in known, f"{module} {subcommand} has no option {option}."


@pytest.mark.parametrize("name", OURS)
def test_a_variable_is_one_the_settings_read(name: str) -> None:
    read = {field.upper() for field in Settings.model_fields}
    named = {variable for variable in environment(name) if not READ_BY_OTHERS.fullmatch(variable)}
    assert named <= read, f"Settings read no {named - read}."


@pytest.mark.parametrize("name", OURS)
def test_no_process_runs_on_a_development_default(name: str) -> None:
    required = {field.upper() for field, info in Settings.model_fields.items() if info.is_required()}
    wanted = (required | PRODUCTION | {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "SECRETS_FOLDER"}) - SECRET
    assert wanted <= set(environment(name)), f"{name} lacks {wanted - set(environment(name))}."
    assert "CATCH_ALL_URL" not in environment(name)


def test_every_variable_to_set_is_told_in_the_head_of_the_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    head = text[: text.index("\nx-app")]
    told = set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)+|JOURNEYS|TEMPLATES|SCRIPTS|PGSSL[A-Z]+)\b", head))
    assert set(re.findall(r"\$\{(\w+)", text)) == told


def test_the_api_is_healthy_when_the_path_asked_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    from api.app import create_app

    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    port = SERVICES["api"]["command"][-1]
    probe = re.search(rf"http://127\.0\.0\.1:{port}(/\w+)", " ".join(SERVICES["api"]["healthcheck"]["test"]))
    assert probe is not None
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": probe[1], "root_path": "", "headers": []}
    assert any(route.matches(scope)[0] is Match.FULL for route in create_app().router.routes)


@pytest.mark.parametrize("name", ["worker", "retention"])
def test_a_worker_is_healthy_when_its_loop_turns(name: str) -> None:
    probe = " ".join(SERVICES[name]["healthcheck"]["test"])
    assert f"http://127.0.0.1:{environment(name)['METRICS_PORT']}/livez" in probe


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_can_come_true(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        awaited = SERVICES[other]
        if wait["condition"] == "service_healthy":
            assert "healthcheck" in awaited
        else:
            assert wait["condition"] == "service_completed_successfully"
            assert awaited["restart"] == "on-failure", f"{other} must end, so it may be restarted on failure only."


def test_only_the_proxy_is_reached_from_outside() -> None:
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", [])}
    assert [name for name, port in published.items() if not port.startswith("127.0.0.1:")] == ["proxy"]
    assert f"server api:{SERVICES['api']['command'][-1]};" in NGINX
    inside = published["proxy"].rpartition(":")[2]
    assert re.search(rf"listen {inside} ssl;", NGINX)
    assert any(volume.startswith("./nginx.conf:") for volume in SERVICES["proxy"]["volumes"])


def test_the_proxy_bounds_a_body_where_the_api_does() -> None:
    units = {"k": 1024, "m": 1024 * 1024, "": 1}
    general, stream, batch = (int(n) * units[u] for n, u in re.findall(r"client_max_body_size (\d+)([km]?);", NGINX))
    assert (general, stream, batch) == (ITEM.size, 0, Settings.model_fields["body_limit"].default)
    places = re.findall(r"location (?:[=~] )?(\S+) {([^}]*)}", NGINX)
    named = {place: text for place, text in places if place.startswith("/")}
    assert "client_max_body_size 0;" in named["/v1/events"]
    assert "proxy_request_buffering off;" in named["/v1/events"]
    (pattern,) = (place for place, _ in places if place.startswith("^"))
    assert all(re.match(pattern, path) for path in SEGMENT)
    assert "return 404;" in named["/metrics"]


def test_the_proxy_waits_no_longer_for_a_request_than_the_api() -> None:
    seconds = {name: float(number) for name, number in re.findall(r"(client_\w+_timeout) (\d+)s;", NGINX)}
    assert seconds["client_header_timeout"] <= HEAD_TIMEOUT
    assert seconds["client_body_timeout"] <= BODY_SILENCE


def test_brands_take_turns_in_temporal_as_they_do_in_development() -> None:
    at = SERVICES["temporal"]["environment"]["DYNAMIC_CONFIG_FILE_PATH"]
    (mounted,) = [volume for volume in SERVICES["temporal"]["volumes"] if at in volume]
    told = yaml.safe_load((ROOT / mounted.partition(":")[0]).read_text())
    assert told == {"matching.enableFairness": [{"value": True}]}
    assert LOCAL_TEMPORAL["matching.enableFairness"] == "true"


class TestLeastPrivilege:
    @pytest.mark.parametrize("name", SERVICES)
    def test_a_container_may_do_nothing_it_need_not(self, name: str) -> None:
        service = SERVICES[name]
        assert service["cap_drop"] == ["ALL"]
        assert "cap_add" not in service
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"mem_limit", "cpus", "pids_limit", "logging"} <= set(service)
        assert "/tmp" in service["tmpfs"]
        assert name in OURS or re.match(r"(?!0\b|root)\w+", service["user"])
        # Temporal's UI writes its configuration beside itself.
        assert service["read_only"] is (name != "temporal-ui")

    def test_a_container_sees_only_the_secrets_that_are_its_own(self) -> None:
        seen: dict[str, set[str]] = {}
        for name, service in SERVICES.items():
            for volume in service.get("volumes", ()):
                if found := re.fullmatch(r"\$\{HOST_SECRETS:[^}]*\}/(\w+):/run/secrets:ro", volume):
                    seen.setdefault(found[1], set()).add(name)
                assert volume.endswith(":ro") or volume.partition(":")[0] in COMPOSE["volumes"]
        assert seen == {
            "app": {"api", "worker"},
            "owner": {"migrate", "retention"},
            "postgres": {"postgres"},
            "temporal": {"temporal-postgres", "temporal-schema", "temporal"},
        }

    @pytest.mark.parametrize("name", SERVICES)
    def test_no_secret_stands_in_a_variable(self, name: str) -> None:
        secret = re.compile(r"PASSWORD|PWD|SECRET|_KEY$|TOKEN")
        wrong = [one for one in environment(name) if secret.search(one)] if "environment" in SERVICES[name] else []
        assert [one for one in wrong if not one.endswith(("_FILE", "_FOLDER"))] == []

    def test_networks_keep_apart_who_has_nothing_to_say_to_each_other(self) -> None:
        on = {network: {n for n, s in SERVICES.items() if network in s["networks"]} for network in COMPOSE["networks"]}
        assert on == {
            "edge": {"proxy", "api"},
            "inside": {"api", "worker", "retention", "temporal", "temporal-namespace", "temporal-ui"},
            "data": {"postgres", "migrate", "retention", "api", "worker"},
            "temporal-data": {"temporal-postgres", "temporal-schema", "temporal"},
        }
        closed = {name for name, network in COMPOSE["networks"].items() if network}
        assert closed == {"data", "temporal-data"}
        assert all(COMPOSE["networks"][name] == {"internal": True} for name in closed)
        for name, service in SERVICES.items():
            for other in service.get("depends_on", {}):
                shared = set(service["networks"]) & set(SERVICES[other]["networks"])
                assert shared, f"{name} waits for {other} and cannot reach it."

    @pytest.mark.parametrize("image", sorted({service["image"] for service in SERVICES.values()} - {"player-journeys"}))
    def test_an_image_is_named_by_its_exact_version(self, image: str) -> None:
        assert re.search(r"@sha256:[0-9a-f]{64}$|:\d+\.\d+(\.\d+)?(-[a-z]+)?$", image)

    def test_the_proxy_writes_to_memory_alone(self) -> None:
        written = re.findall(r"^\s*(?:pid|\w+_temp_path) (\S+);", NGINX, re.MULTILINE)
        assert len(written) == 6
        assert all(path.startswith("/tmp/") for path in written)

    def test_only_who_owns_the_tables_is_told_to_migrate_or_to_forget(self) -> None:
        assert SERVICES["migrate"]["command"][-1] == "migrate"
        assert SERVICES["retention"]["command"][-2:] == ["--role", "retention"]
        assert {environment(name)["APPLICATION_ROLE"] for name in OURS} == {"journeys_app"}


class TestSecrets:
    @pytest.fixture
    def made(self, tmp_path: Path) -> Path:
        """What the script makes in a folder that is not there yet."""
        subprocess.run(["sh", ROOT / "compose" / "make-secrets.sh", tmp_path / "secrets"], check=True)
        return tmp_path / "secrets"

    def test_the_script_makes_every_part_closed_to_others_and_open_to_containers(self, made: Path) -> None:
        assert made.stat().st_mode & 0o777 == 0o700
        files = [file for file in made.rglob("*") if file.is_file()]
        assert {file.parent.name for file in files} == {"app", "owner", "postgres", "temporal"}
        assert {file.stat().st_mode & 0o777 for file in files} == {0o644}
        ours = {file.name.upper() for file in files if file.parent.name in {"app", "owner"}}
        assert ours < SECRET

    def test_what_is_there_is_left_as_it_is(self, made: Path) -> None:
        before = {file: file.read_text() for file in made.rglob("*") if file.is_file()}
        (made / "app" / "link_secrets").write_text("mine")
        subprocess.run(["sh", ROOT / "compose" / "make-secrets.sh", made], check=True)
        after = {file: file.read_text() for file in made.rglob("*") if file.is_file()}
        assert after == before | {made / "app" / "link_secrets": "mine"}

    def test_the_roles_get_the_passwords_that_the_addresses_have(self, made: Path) -> None:
        asked = re.findall(r"cat /run/secrets/(\w+)", (ROOT / "compose" / "roles.sql").read_text())
        assert asked == ["owner_password", "application_password"]
        for part, role, file in (
            ("owner", "journeys", "owner_password"),
            ("app", environment("api")["APPLICATION_ROLE"], "application_password"),
        ):
            password = (made / "postgres" / file).read_text().strip()
            address = (made / part / "database_url").read_text().strip()
            assert address == f"postgresql://{role}:{password}@postgres:5432/journeys"
        named = environment("postgres")["POSTGRES_PASSWORD_FILE"].rpartition("/")[2]
        assert (made / "postgres" / named).exists()
        assert (
            made / "temporal" / environment("temporal-postgres")["POSTGRES_PASSWORD_FILE"].rpartition("/")[2]
        ).exists()

    def test_settings_are_read_from_their_files_and_a_variable_goes_first(
        self, made: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRETS_FOLDER", str(made / "app"))
        (made / "app" / "smtp_password").write_text("hush\n")
        for name in SECRET:
            monkeypatch.delenv(name, raising=False)
        read = settings_from()
        assert read.database_url.startswith("postgresql://journeys_app:")
        assert len(read.link_secrets) == 1
        assert (read.smtp_password, read.webhook_secret_of("sms")[:6]) == ("hush", "whsec_")
        monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere")
        assert settings_from().database_url == "postgresql://elsewhere"

    def test_a_folder_that_cannot_be_read_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRETS_FOLDER", str(tmp_path / "none"))
        with pytest.raises(DesignError, match=r"SECRETS_FOLDER names .*none cannot be read here \(No such file"):
            settings_from()


def test_data_outlives_its_container() -> None:
    for name in ("postgres", "temporal-postgres"):
        volume, _, _ = SERVICES[name]["volumes"][0].partition(":")
        assert volume in COMPOSE["volumes"]


def test_the_image_is_locked_and_runs_as_nobody_special() -> None:
    assert DOCKERFILE.count("--require-hashes") == 2
    assert "requirements-dev" not in DOCKERFILE
    assert re.search(r"^USER (?!root)\w+", DOCKERFILE, re.MULTILINE)
    python = re.search(r"^FROM python:([\d.]+)", DOCKERFILE, re.MULTILINE)
    assert python is not None
    assert Version(python[1]) >= Version("3.11")


def test_the_image_holds_every_folder_the_code_needs() -> None:
    kept = {line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert {"workflows", "activities", "api", "migrations", "templates", "worker.py", "content", "cli"} <= kept
    assert set(re.findall(r"requirements[\w-]*\.txt", DOCKERFILE)) <= kept
    assert "local" not in kept
