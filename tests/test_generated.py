"""What is made from something else is up to date, and the set-up files agree with each other."""

import re
import tomllib

import renew
import yaml
from packaging.requirements import Requirement


def read(name: str) -> str:
    return (renew.ROOT / name).read_text(encoding="utf-8")


def test_environment_is_the_pinned_set():
    assert read("environment.yml") == renew.environment()
    parsed = yaml.safe_load(read("environment.yml"))
    packages = parsed["dependencies"][-1]["pip"]
    assert packages[-1] == "-e ." and len(packages) > 15
    pins = renew.pins()
    for line in packages[:-1]:
        requirement = Requirement(line)
        assert pins[requirement.name] == str(requirement.specifier)


def test_every_range_admits_its_pin():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    pins = renew.pins()
    for group in (project["dependencies"], *project["optional-dependencies"].values()):
        for requirement in map(Requirement, group):
            assert requirement.specifier.contains(pins[requirement.name].removeprefix("=="))


def test_pins_are_exact_and_name_no_index():
    lines = [line for line in read("requirements.txt").splitlines() if line.strip()]
    assert all(re.match(r"[A-Za-z0-9._-]+==[^ ]+( ;.*)?$", line) for line in lines)
    assert len(lines) > 100


def test_the_page_of_benchmarks_is_up_to_date():
    assert read("benchmarks/README.md") == renew.profile()


def test_readme_table_is_up_to_date():
    assert read("README.md") == renew.readme()
    assert read("README.md").count("not run") >= 15  # none of the published rows has been run here yet


def test_readme_commands_exist():
    makefile = read("Makefile")
    for target in re.findall(r"\bmake ([a-z-]+)", read("README.md")):
        assert f"\n{target}:" in makefile
