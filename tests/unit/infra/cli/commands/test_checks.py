"""init, mail and doctor."""

from __future__ import annotations

import json
import mailbox
from email.message import EmailMessage
from pathlib import Path

import yaml

from infra.stack.info import PartStatus
from ml.config.loading import load_config


def _data(folder: Path) -> Path:
    path = folder / "My Customers.csv"
    path.write_text(
        "age,plan,left\n" + "".join(f"{20 + row},{'ab'[row % 2]},{'yes' if row % 3 else 'no'}\n" for row in range(30))
    )
    return path


def test_init_writes_a_file_that_a_run_takes(bare, tmp_path: Path) -> None:
    output = tmp_path / "own.yaml"

    result = bare("init", str(_data(tmp_path)), "--target", "left", "--output", str(output))

    config = load_config(output)
    assert result.exit_code == 0, result.stderr
    assert (config.data.target, config.data.positive, config.model.name) == ("left", "yes", "my-customers")
    assert "# " in output.read_text()
    assert f"next: trackyard run --config {output}" in result.stdout


def test_the_file_of_init_is_all_that_run_needs(registry, tmp_path: Path) -> None:
    data, output = _data(tmp_path), tmp_path / "configs" / "own.yaml"
    output.parent.mkdir()

    made = registry("init", str(data), "--target", "left", "--output", str(output))
    ran = registry("run", "--config", str(output), "--no-wait")

    assert made.stdout.endswith(f"next: trackyard run --config {output}\n")
    assert load_config(output).data.file == "../My Customers.csv"
    assert ran.exit_code == 0, ran.stderr
    assert [path.resolve() for path in registry.store.put] == [data]
    conf = registry.airflow.triggered[0]["conf"]
    assert (conf["data"], conf["config"]["data"]["file"]) == ("s3://trackyard/datasets/0af3/My Customers.csv", "")


def test_the_stacks_own_file_needs_not_even_be_named(registry, tmp_path: Path) -> None:
    own = Path(registry.environ["TRACKYARD_PIPELINE_FILE"])

    made = registry("init", str(_data(tmp_path)), "--target", "left", "--output", str(own), "--force")
    ran = registry("run", "--no-wait")

    assert made.stdout.endswith("next: trackyard run\n")
    assert (ran.exit_code, len(registry.store.put)) == (0, 1)


def test_data_that_is_named_wins_over_the_file_of_init(registry, tmp_path: Path) -> None:
    data, output = _data(tmp_path), tmp_path / "own.yaml"
    registry("init", str(data), "--target", "left", "--output", str(output))
    other = tmp_path / "other.csv"
    other.write_text(data.read_text())

    registry("run", "--config", str(output), "--data", str(other), "--no-wait")
    registry("run", "--config", str(output), "--set", "data.uri=s3://trackyard/x.csv", "--no-wait")
    rows = registry("run", "--config", str(output), "--rows", "100", "--no-wait")

    assert registry.store.put == [other]
    assert registry.airflow.triggered[1]["conf"]["data"] == "s3://trackyard/x.csv"
    assert (rows.exit_code, "leave one of the two out" in rows.stderr) == (2, True)


def test_init_can_add_the_data_so_that_the_file_is_all_that_a_run_needs(registry, tmp_path: Path) -> None:
    data, output = _data(tmp_path), tmp_path / "own.yaml"

    made = registry("init", str(data), "--target", "left", "--output", str(output), "--add")
    registry("run", "--config", str(output), "--no-wait")

    assert made.exit_code == 0, made.stderr
    assert registry.store.put == [data]
    assert load_config(output).data.uri == "s3://trackyard/datasets/0af3/My Customers.csv"
    assert made.stdout.endswith(f"next: trackyard run --config {output}\n")
    assert registry.airflow.triggered[0]["conf"]["data"] == load_config(output).data.uri


def test_init_adds_nothing_where_the_file_cannot_be_written_or_no_stack_is_up(registry, tmp_path: Path) -> None:
    data, output = _data(tmp_path), tmp_path / "own.yaml"
    arguments = ["init", str(data), "--target", "left", "--output", str(output), "--add"]
    registry.stack.running = False

    away = registry(*arguments)

    assert (away.exit_code, output.exists(), registry.store.put) == (3, False, [])
    output.write_text("mine")
    assert registry(*arguments).exit_code == 2
    assert registry.store.put == []


def test_init_writes_over_a_file_only_if_told(bare, tmp_path: Path) -> None:
    output = tmp_path / "own.yaml"
    output.write_text("mine")
    arguments = ["init", str(_data(tmp_path)), "--target", "left", "--output", str(output)]

    refused = bare(*arguments)

    assert refused.exit_code == 2
    assert output.read_text() == "mine"
    assert bare(*arguments, "--force").exit_code == 0
    assert yaml.safe_load(output.read_text())["data"]["target"] == "left"


def test_init_says_what_is_wrong_with_the_data(bare, tmp_path: Path) -> None:
    data, output = _data(tmp_path), tmp_path / "own.yaml"

    no_target = bare("init", str(data), "--target", "lef", "--output", str(output))
    no_file = bare("init", "nowhere.csv", "--target", "left", "--output", str(output))

    assert (no_target.exit_code, no_file.exit_code) == (2, 2)
    assert "did you mean 'left'?" in no_target.stderr
    assert "nowhere.csv cannot be read" in no_file.stderr
    assert not output.exists()


def _deliver(home: Path, subject: str, hour: int) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "trackyard@localhost", "team@trackyard.local", subject
    message["Date"] = f"Thu, 01 Jan 2026 {hour:02d}:00:00 +0000"
    message.set_content(f"<p>about {subject}</p>", subtype="html")
    mailbox.Maildir(home / "mail").add(message)


def test_mail_is_listed_and_shown(cli) -> None:
    assert cli("mail").stdout == "no mail was sent yet\n"
    _deliver(cli.home, "first", 9)
    _deliver(cli.home, "second", 10)

    listed, shown = cli("mail").stdout, cli("mail", "2").stdout

    assert [line.split()[0] for line in listed.splitlines()[1:]] == ["1", "2"]
    assert listed.splitlines()[1].endswith("second")
    assert "Subject: first" in shown
    assert shown.endswith("\nabout first\n")


def test_mail_as_json(cli) -> None:
    _deliver(cli.home, "first", 9)

    listed, shown = json.loads(cli("mail", "--json").stdout), json.loads(cli("mail", "1", "--json").stdout)

    assert set(listed[0]) == {"number", "date", "from", "to", "subject"}
    assert shown["text"] == "about first"


def test_a_mail_that_is_not_there(cli) -> None:
    result = cli("mail", "4")

    assert result.exit_code == 2
    assert "there is no mail 4: no mail was sent yet" in result.stderr


def test_doctor_looks_at_the_machine_and_at_every_part(cli) -> None:
    found = {check["name"]: check for check in json.loads(cli("doctor", "--json").stdout)}

    assert {"python", "packages", "folder", "disk", "pipeline file", "s3", "mlflow", "airflow login", "clock"} <= set(
        found
    )
    assert found["clock"]["state"] == "ok"
    assert "port mlflow" not in found


def test_doctor_exits_with_1_when_something_is_wrong(cli) -> None:
    cli.stack.statuses[2] = PartStatus("s3", "failed", "no put", None, 1, 1)

    result = cli("doctor")

    assert result.exit_code == 1
    assert "wrong: s3" in result.stderr
    assert "see 'trackyard logs s3'" in result.stdout


def test_doctor_before_the_first_start_looks_at_the_ports(bare) -> None:
    found = {check["name"]: check["state"] for check in json.loads(bare("doctor", "--json").stdout)}

    assert found["stack"] == "note"
    assert {"memory", "port airflow", "port smtp"} <= set(found)
