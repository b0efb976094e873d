"""docker-compose.yaml on a real engine: brought up, used, killed in every part, stopped and started, scaled."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compose import images
from tests.compose.conftest import Deployment, new_deployment
from tests.support import ROOT, wait_for

PIPELINE = "Airflow_Lab2"
ROW = {
    "Daily Time Spent on Site": 68.9,
    "Age": 35,
    "Area Income": 61833.9,
    "Daily Internet Usage": 256.1,
    "Male": 0,
}

# A test that kills or stops leaves everything healthy again, so that their order does not matter.


@pytest.fixture(scope="session")
def first_run(deployment: Deployment) -> dict[str, Any]:
    """The first run of the deployment, from the host's command line."""
    found: dict[str, Any] = deployment.cli_json("run")
    return found


def predict(deployment: Deployment, token: str = "") -> dict[str, Any]:
    given = {"Authorization": f"Bearer {token}"} if token else {}
    url = deployment.url("serving") + "/predict"
    answer = httpx.post(url, json={"rows": [ROW]}, headers=given, timeout=10, trust_env=False)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def served_version(deployment: Deployment) -> str | None:
    given = {"Authorization": f"Bearer {deployment.env['SERVING_TOKEN']}"}
    model = deployment.get("serving", "/status", headers=given).json()["model"]
    return str(model["version"]) if model and model.get("version") else None


def test_the_pipeline_runs_and_its_champion_is_served(deployment: Deployment, first_run: dict[str, Any]) -> None:
    assert first_run["state"] == "success"
    assert first_run["model"]["champion"] is True

    wait_for(lambda: served_version(deployment) == first_run["model"]["version"], "the champion to be served", 60)
    assert predict(deployment)["predictions"] in ([0], [1])
    assert deployment.get("serving", "/success").status_code == 200


def test_status_and_credentials_tell_of_the_deployment(deployment: Deployment, first_run: dict[str, Any]) -> None:
    status = deployment.cli_json("status")
    parts = {part["name"]: part["state"] for part in status["parts"]}

    assert set(parts.values()) == {"ready"}
    assert {"airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"} <= set(parts)
    assert deployment.cli_json("credentials")["airflow"]["password"] == deployment.env["AIRFLOW_ADMIN_PASSWORD"]


def test_promote_moves_what_is_served(deployment: Deployment, first_run: dict[str, Any]) -> None:
    second = deployment.cli_json("run", "--set", "data.generate.seed=7")
    version, before = second["model"]["version"], first_run["model"]["version"]

    done = deployment.cli("promote", before, "--reason", "back to the first")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: served_version(deployment) == before, "the promoted version to be served", 30)
    done = deployment.cli("promote", version, "--reason", "and forward")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: served_version(deployment) == version, "the other version to be served", 30)


def test_a_model_is_trained_on_a_file_of_ones_own(deployment: Deployment, tmp_path: Path) -> None:
    rows = (f"{n % 50},{'abc'[n % 3]},{int(n % 50 + n * 7919 % 41 > 45)}\n" for n in range(400))
    (tmp_path / "mine.csv").write_text("visits,plan,bought\n" + "".join(rows))
    written = deployment.cli(
        "init", str(tmp_path / "mine.csv"), "--target", "bought", "--output", str(tmp_path / "mine.yaml")
    )
    assert written.returncode == 0, written.stderr
    tmp_path.chmod(0o755)
    options = ("-v", f"{tmp_path}:/host:ro")

    # In a container, which puts the file into the bucket by itself.
    own = ("--data", "/host/mine.csv", "--config", "/host/mine.yaml")
    first = json.loads(deployment.tool("trackyard", "run", *own, "--json", options=options).stdout)
    assert (first["state"], first["model"]["name"]) == ("success", "mine")
    # From the host, by its address.
    done = deployment.tool("trackyard", "data", "add", "/host/mine.csv", options=options)
    address = done.stdout.strip().splitlines()[-1]
    assert address.startswith("s3://trackyard/datasets/")
    again = deployment.cli_json("run", "--data", address, "--config", str(tmp_path / "mine.yaml"))
    assert again["state"] == "success"
    assert again["metrics"] == first["metrics"]
    # Another bucket is no more allowed than before, and the file itself cannot go there from the host.
    elsewhere = deployment.cli("run", "--data", "s3://elsewhere/x.csv")
    assert elsewhere.returncode == 2, elsewhere.stderr
    assert elsewhere.stderr.count("\n") == 1
    from_host = deployment.cli("data", "add", str(tmp_path / "mine.csv"))
    assert from_host.returncode == 3
    assert "docker compose run --rm trackyard COMMAND" in from_host.stderr


def test_mail_is_kept_and_shown(deployment: Deployment, first_run: dict[str, Any]) -> None:
    def told() -> bool:
        return first_run["dag_run_id"] in deployment.tool("trackyard", "mail", "--json").stdout

    wait_for(told, "the mail about the first run", 90)


def test_the_log_of_a_service_is_shown(deployment: Deployment) -> None:
    assert "airflow-scheduler" in deployment.compose("logs", "--tail", "5", "airflow-scheduler").stdout


def _tasks_by_host(deployment: Deployment, run_id: str) -> dict[str, str]:
    return {
        str(task["task_id"]): str(task.get("hostname") or "")
        for task in deployment.airflow.task_instances(PIPELINE, run_id)
    }


@pytest.mark.further
def test_three_workers_share_the_tasks_of_a_run(deployment: Deployment, first_run: dict[str, Any]) -> None:
    deployment.up("--no-recreate", "--no-deps", "--scale", "worker=3", "worker")
    try:
        assert len(deployment.containers("worker")) == 3

        # Celery gives a message to whoever asks first: a single run may by chance have stayed with one worker.
        hosts: set[str] = set()
        for _ in range(5):
            run = deployment.cli_json("run")
            hosts = set(filter(None, _tasks_by_host(deployment, run["dag_run_id"]).values()))
            if len(hosts) > 1:
                break
        assert len(hosts) > 1
    finally:
        deployment.up("--no-recreate", "--no-deps", "--scale", "worker=1", "worker")


@pytest.mark.further
@pytest.mark.parametrize(
    "services",
    [
        # What no task talks to while it runs: one after the other in one run.
        ("mail", "flower", "airflow-dag-processor"),
        ("serving", "airflow-triggerer"),
        ("airflow-scheduler",),
        ("airflow-api-server",),
        ("mlflow",),
        ("s3",),
        ("redis",),
        ("postgres",),
        ("worker",),
    ],
    ids="-".join,
)
def test_a_run_outlives_a_killed_container(
    deployment: Deployment, first_run: dict[str, Any], services: tuple[str, ...]
) -> None:
    result: list[subprocess.CompletedProcess[str]] = []
    run = threading.Thread(target=lambda: result.append(deployment.cli("run", "--json")))
    before = {each["dag_run_id"] for each in deployment.airflow.dag_runs(PIPELINE, limit=50)}
    run.start()

    def has_begun() -> bool:
        runs = deployment.airflow.dag_runs(PIPELINE, limit=5)
        new = [each["dag_run_id"] for each in runs if each["dag_run_id"] not in before]
        return bool(new) and any(
            task.get("state") == "success" for task in deployment.airflow.task_instances(PIPELINE, new[0])
        )

    wait_for(has_begun, "the run's first task", 90)
    for service in services:
        deployment.kill(service)
    run.join()

    done = result[0]
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}\n{deployment.unwell()}"
    told = json.loads(done.stdout)
    assert told["state"] == "success"
    tries = [task["try_number"] for task in deployment.airflow.task_instances(PIPELINE, told["dag_run_id"])]
    assert max(tries) <= 2, "more than one retry"
    wait_for(lambda: not deployment.not_healthy(), "every service to be healthy again", 240)


@pytest.mark.further
def test_down_another_s3_image_and_up_lose_nothing(deployment: Deployment, first_run: dict[str, Any]) -> None:
    versions = deployment.cli_json("models")
    runs = {run["dag_run_id"] for run in deployment.cli_json("runs")}
    wait_for(lambda: served_version(deployment) is not None, "a model to be served", 60)
    before = predict(deployment)

    deployment.compose("down")
    deployment.forget("S3_IMAGE")
    deployment.up()

    (store,) = deployment.containers("s3")
    assert store["Config"]["Image"] == images.default_of("S3_IMAGE", (ROOT / "docker-compose.yaml").read_text())
    assert deployment.cli_json("models") == versions
    assert {run["dag_run_id"] for run in deployment.cli_json("runs")} == runs
    wait_for(lambda: served_version(deployment) is not None, "the model to be served again", 60)
    assert predict(deployment) == before
    # It works on with what is there, and with what is new.
    assert deployment.cli_json("run")["state"] == "success"


def _environment(container: dict[str, Any]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in container["Config"]["Env"])


def test_each_container_has_the_secrets_that_it_needs_and_no_other(deployment: Deployment) -> None:
    def holders(secret: str) -> set[str]:
        value = deployment.env[secret]
        return {
            each["Config"]["Labels"]["com.docker.compose.service"]
            for each in deployment.containers(every=True)
            if any(value in content for content in _environment(each).values())
        }

    servers = {"airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"}
    assert holders("AIRFLOW_DB_PASSWORD") == {*servers, "database-job"}
    assert holders("AIRFLOW_JWT_SECRET") == {"airflow-api-server", "airflow-scheduler"}
    assert holders("POSTGRES_PASSWORD") == {"postgres", "database-job"}
    assert holders("S3_ROOT_SECRET") == {"s3", "bucket-job"}
    assert holders("S3_MLFLOW_SECRET") == {"mlflow", "bucket-job"}
    assert holders("S3_WORKER_SECRET") == {"worker", "bucket-job"}
    assert holders("MLFLOW_ADMIN_PASSWORD") == {"mlflow", "database-job"}
    assert holders("FLOWER_PASSWORD") == {"flower"}
    assert holders("SERVING_TOKEN") == {"serving", "worker", "airflow-triggerer"}
    assert holders("WEBHOOK_SECRET") == {"serving", "database-job"}
    assert holders("MLFLOW_WEBHOOK_KEY") == {"mlflow", "database-job"}


_TRY_BUCKETS = """
import os, boto3, botocore
s3 = boto3.client("s3", endpoint_url=os.environ["TRACKYARD_S3_ENDPOINT"])
s3.put_object(Bucket="trackyard", Key="health/x", Body=b"x"); s3.delete_object(Bucket="trackyard", Key="health/x")
for call in (lambda: s3.list_objects_v2(Bucket="mlflow"), lambda: s3.put_object(Bucket="mlflow", Key="x", Body=b"x")):
    try:
        call()
    except botocore.exceptions.ClientError as error:
        print(error.response["Error"]["Code"])
"""


def test_the_workers_key_opens_its_own_bucket_alone(deployment: Deployment) -> None:
    done = deployment.compose("exec", "-T", "worker", "python", "-c", _TRY_BUCKETS)

    assert done.stdout.split() == ["AccessDenied", "AccessDenied"]


@pytest.mark.further
def test_seaweedfs_takes_the_place_of_minio(built: float, tmp_path: Path) -> None:
    found = new_deployment(tmp_path / "seaweedfs", "seaweedfs")
    try:
        found.compose("up", "-d", "--no-build", "s3")
        found.compose("run", "--rm", "-T", "bucket-job")
        done = found.compose("run", "--rm", "-T", "--entrypoint", "python", "trackyard", "-c", _TRY_BUCKETS)
        assert done.stdout.split() == ["AccessDenied", "AccessDenied"]
    finally:
        found.remove()


def test_accounts_of_the_service_only_read(deployment: Deployment) -> None:
    airflow = deployment.airflow.__class__(
        deployment.url("airflow"), "status", deployment.env["AIRFLOW_STATUS_PASSWORD"], timeout_s=20
    )
    assert airflow.dag_runs(PIPELINE, limit=1) is not None
    with pytest.raises(Exception, match=r"403|may not|forbidden|Forbidden"):
        airflow.trigger(PIPELINE, {})

    login = ("status", deployment.env["MLFLOW_STATUS_PASSWORD"])
    url = deployment.url("mlflow") + "/api/2.0/mlflow/experiments/"
    assert httpx.post(url + "search", json={"max_results": 1}, auth=login, trust_env=False).status_code == 200
    for change in ({"create": {"name": "of-a-reader"}}, {"delete": {"experiment_id": "0"}}):
        ((path, body),) = change.items()
        assert httpx.post(url + path, json=body, auth=login, trust_env=False).status_code == 403, path
    assert httpx.post(url + "search", json={"max_results": 1}, trust_env=False).status_code == 401
    assert deployment.get("flower", "/workers").status_code == 401


def test_the_workers_go_on_with_what_somebody_else_made_in_mlflow(deployment: Deployment) -> None:
    admin = ("admin", deployment.env["MLFLOW_ADMIN_PASSWORD"])
    workers = ("pipeline", deployment.env["MLFLOW_PIPELINE_PASSWORD"])

    def post(path: str, body: dict[str, str], account: tuple[str, str]) -> dict[str, Any]:
        url = f"{deployment.url('mlflow')}/api/2.0/mlflow/{path}"
        answer = httpx.post(url, json=body, auth=account, timeout=20, trust_env=False)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    experiment = post("experiments/create", {"name": "by-hand"}, admin)["experiment_id"]
    run = post("runs/create", {"experiment_id": experiment}, admin)["run"]["info"]["run_id"]
    # What a retry does with what its broken try left.
    post("runs/delete", {"run_id": run}, workers)


def test_what_would_leave_the_service_open_to_everybody_does_not_start(built: float, tmp_path: Path) -> None:
    found = new_deployment(tmp_path / "open", TLS_BIND_ADDRESS="0.0.0.0")
    try:
        for service in ("database-job", "serving"):
            done = found.compose("run", "--rm", "-T", "--no-deps", service, check=False)
            assert done.returncode == 1, service
            assert "trackyard: SERVING_TOKENS is none, and 0.0.0.0" in done.stdout + done.stderr
    finally:
        found.remove()


def test_containers_are_closed_up(deployment: Deployment) -> None:
    for each in deployment.containers():
        host, name = each["HostConfig"], each["Name"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert host["Memory"] > 0, name
        assert host["NanoCpus"] > 0, name
        assert host["LogConfig"]["Config"]["max-size"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert each["Config"]["User"] not in ("", "root", "0"), name
        for bindings in (host["PortBindings"] or {}).values():
            assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}, name


def test_only_four_ports_are_published(deployment: Deployment) -> None:
    published = {
        int(binding["HostPort"])
        for each in deployment.containers()
        for bindings in (each["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    }

    assert published == {int(deployment.env[f"{name}_PORT"]) for name in ("AIRFLOW", "MLFLOW", "SERVING", "FLOWER")}


def test_the_image_is_small_and_holds_no_build_tools(deployment: Deployment) -> None:
    told = json.loads(images.docker("image", "inspect", images.OURS).stdout)[0]

    assert told["Size"] <= 900_000_000
    assert told["Config"]["User"] == "10001:10001"
    labels = told["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "Trackyard"
    look = "for tool in pip pip3 uv gcc cc make git; do command -v $tool; done; cat " + labels["org.trackyard.sbom"]
    done = images.docker("run", "--rm", "--network", "none", "--entrypoint", "sh", images.OURS, "-c", look)
    bom = json.loads(done.stdout)
    names = {component["name"] for component in bom["components"]}
    assert {"apache-airflow", "mlflow", "scikit-learn", "libc6"} <= names


@pytest.mark.further
def test_a_change_of_our_code_alone_is_built_from_the_cache(deployment: Deployment, tmp_path: Path) -> None:
    before = images.docker("history", "-q", "--no-trunc", images.OURS).stdout.split()
    work = tmp_path / "checkout"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(work)], check=True)
    for name in ("ml", "serving", "infra", "dags"):
        subprocess.run(["cp", "-a", str(ROOT / name), str(work)], check=True)
    for name in ("requirements.lock", "pyproject.toml", "README.md", "pipeline.yaml", ".dockerignore"):
        subprocess.run(["cp", "-a", str(ROOT / name), str(work)], check=True)
    with (work / "ml" / "errors.py").open("a") as handle:
        handle.write("\n# another line\n")

    authority = images.authority()
    environ = {**os.environ, "IMAGE_BASE": images.BASE, "IMAGE_CA": authority}
    done = subprocess.run(
        ["python3", str(work / "infra" / "image" / "build.py"), "trackyard-test/changed:1"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Using cache") >= 8, done.stdout
        after = images.docker(
            "history", "--no-trunc", "--format", "{{.CreatedBy}} {{.Size}}", "trackyard-test/changed:1"
        )
        assert after.stdout
        assert before
    finally:
        images.docker("rmi", "trackyard-test/changed:1")
