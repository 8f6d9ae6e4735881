//! Python: a virtual environment with the dependencies, and the project beside it.

use super::{NOBODY, Project, string};

pub(super) fn text(project: &Project<'_>) -> String {
    let name = project.name;
    let module = project.package().unwrap_or("main");
    let usual = "if [ -f requirements.txt ]; then pip install --requirement requirements.txt; else pip install .; fi";
    format!(
        r#"
[stage.{name}-build]
from = {builder}
workdir = "/app"
env = {{ VIRTUAL_ENV = "/venv", PATH = "/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", PIP_DISABLE_PIP_VERSION_CHECK = "1" }}

[[stage.{name}-build.step]]
run = "python3 -m venv /venv"

[[stage.{name}-build.step]]
copy = {dir}
only = ["requirements.txt", "pyproject.toml", "setup.cfg", "README.md"]

[[stage.{name}-build.step]]
run = {build}
network = "default"
cache = [{{ id = "pip", path = "/root/.cache/pip" }}]

[image.{name}]
from = {builder}
workdir = "/app"
env = {{ PATH = "/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", PYTHONUNBUFFERED = "1" }}
user = "{NOBODY}"
cmd = ["python3", "-m", {module}]
file = [
  {{ from = {output}, to = "/venv/" }},
  {{ from = {dir}, to = "/app/" }},
]
"#,
        builder = project.builder("python", "3", "-slim"),
        dir = project.dir(),
        build = project.build(usual),
        module = string(module),
        output = string(format!("stage.{name}-build:/{}", project.output("venv"))),
    )
}
