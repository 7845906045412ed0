"""What is said twice says the same."""

import subprocess
import sys

import chart
import generate
import jsonschema
import pytest
import yaml


def test_what_is_generated_is_up_to_date():
    command = [sys.executable, chart.ROOT / "tests/chart/generate.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_value_has_a_comment_and_a_schema():
    found = {row.key: row for row in generate.rows((chart.CHART / "values.yaml").read_text())}
    schema = yaml.safe_load((chart.CHART / "values.schema.json").read_text())
    assert set(leaves(schema)) == set(found)
    values = yaml.safe_load((chart.CHART / "values.yaml").read_text())
    jsonschema.Draft7Validator(schema).validate(values)
    for key in leaves(schema):
        generate.at(values, key.split("."))


def test_every_value_is_used_by_some_template():
    files = [p for p in chart.CHART.glob("templates/**/*") if p.is_file()] + [chart.CHART / "files/monitoring/rules.yaml"]
    templates = "".join(p.read_text() for p in files)
    for row in generate.rows((chart.CHART / "values.yaml").read_text()):
        assert row.key.split(".")[-1] in templates, row.key


def test_the_first_steps_of_the_readme_are_commands_that_exist():
    readme = (chart.CHART / "README.md").read_text()
    for command in ("backend-runner create-repo", "authd hash-password", "authd diff", "authd check --online"):
        assert command in readme


@pytest.mark.parametrize("case", chart.CASES)
def test_every_example_says_what_it_is_for(case):
    assert (chart.CHART / f"ci/{case}-values.yaml").read_text().startswith("# ")


def notes(*settings: str) -> str:
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    return chart.helm("helm4", "install", "g", str(chart.CHART), "--dry-run=client", *arguments).split("NOTES:")[1]


def test_a_sound_release_is_warned_of_nothing():
    assert "WARNING" not in notes("policy.text=version: 1", "users.existingSecret=users")


@pytest.mark.parametrize(
    "setting, warning",
    [
        ("mode=all-in-one", "nobody may do anything"),
        ("mode=all-in-one", "nobody can log in"),
        ("persistence.enabled=false", "gone with the pod"),
        ("service.type=LoadBalancer", "in the clear"),
        ("networkPolicy.enabled=false", "every pod of the cluster"),
        ("signingKey.create=true", "GitOps"),
        ("runner.externalHooks.update=ours", "cannot run"),
        ("audit.path=/var/log/gitward/audit.jsonl", "audit records are gone"),
    ],
)
def test_what_works_and_is_risky_is_said_after_an_install(setting, warning):
    assert warning in notes(setting)


def test_backend_runner_alone_is_not_spoken_of_as_if_authd_were_with_it():
    said = notes("mode=git-only", "signingKey.existingSecret=key")
    assert "no rule about branches holds" in said and "nobody may do anything" not in said and "-c authd" not in said


def leaves(node: dict, path: str = "") -> list[str]:
    """The values of the schema: whatever has a description."""
    found = []
    for name, below in node.get("properties", {}).items():
        key = f"{path}.{name}" if path else name
        found += [key] if "description" in below else leaves(below, key)
    return found
