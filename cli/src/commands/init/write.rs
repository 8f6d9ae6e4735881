//! The build file of a project: a preset of a build spec, or a Dockerfile that does the same.

use super::detect::Project;
use crate::args::ProjectKind;

/// A build spec.
pub(super) fn spec(project: &Project) -> String {
    let kind = match project.kind {
        ProjectKind::Go => "go",
        ProjectKind::Rust => "rust",
        ProjectKind::Node => "node",
        ProjectKind::Python => "python",
        ProjectKind::Java => "java",
        ProjectKind::Static => "static",
        ProjectKind::Cmake => "cmake",
    };
    let mut text = format!(
        "# `llbc expand` shows what the preset does; `llbc build -t {name} .` builds it.\nspec = 1\n\n[image.{name}]\npreset = \"{kind}\"\n",
        name = project.name
    );
    let said = [
        ("from", &project.base),
        ("builder", &project.builder),
        ("version", &project.version),
        ("package", &project.package),
        ("build", &project.build),
        ("output", &project.output),
    ];
    for (key, value) in said {
        if let Some(value) = value {
            text += &format!("{key} = {}\n", serde_json::Value::from(value.as_str()));
        }
    }
    text
}

/// A Dockerfile.
pub(super) fn dockerfile(project: &Project) -> String {
    let name = &project.name;
    let package = project.package.as_deref();
    let version = |usual: &'static str| project.version.clone().unwrap_or_else(|| usual.to_owned());
    let builder = |usual: String| project.builder.clone().unwrap_or(usual);
    let base = |usual: &str| project.base.clone().unwrap_or_else(|| usual.to_owned());
    let body = match project.kind {
        ProjectKind::Go => format!(
            "FROM --platform=$BUILDPLATFORM {builder} AS build\nARG TARGETOS TARGETARCH\nWORKDIR /src\n\
             COPY go.mod go.sum* ./\nRUN go mod download\nCOPY . .\n\
             RUN --mount=type=cache,target=/root/.cache/go-build \\\n    \
             CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags='-s -w' -o /out/{name} {package}\n\n\
             FROM {base}\nUSER 65532:65532\n\
             COPY --link --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/\n\
             COPY --link --from=build /out/{name} /{name}\nENTRYPOINT [\"/{name}\"]\n",
            builder = builder(format!("golang:{}", version("1"))),
            package = package.unwrap_or("."),
            base = base("scratch"),
        ),
        ProjectKind::Rust => {
            let binary = package.unwrap_or(name);
            format!(
                "FROM {builder} AS build\nWORKDIR /src\nCOPY . .\n\
                 RUN --mount=type=cache,target=/usr/local/cargo/registry \\\n    \
                 --mount=type=cache,target=/src/target,sharing=locked \\\n    \
                 cargo build --release --locked --bin {binary} && install -D target/release/{binary} /out/{binary}\n\n\
                 FROM {base}\nUSER 65532:65532\nCOPY --link --from=build /out/{binary} /usr/local/bin/{name}\n\
                 ENTRYPOINT [\"/usr/local/bin/{name}\"]\n",
                builder = builder(format!("rust:{}-bookworm", version("1"))),
                base = base("debian:bookworm-slim"),
            )
        }
        ProjectKind::Node => {
            let node = builder(format!("node:{}-slim", version("lts")));
            let install = |omit: &str| {
                format!(
                    "WORKDIR /app\nCOPY package.json package-lock.json* ./\n\
                     RUN --mount=type=cache,target=/root/.npm \\\n    \
                     if [ -f package-lock.json ]; then npm ci{omit} --no-audit --no-fund; \
                     else npm install{omit} --no-audit --no-fund; fi \\\n    && mkdir -p node_modules\n"
                )
            };
            format!(
                "FROM {node} AS modules\n{needed}\n\
                 FROM {node} AS build\n{all}COPY . .\n\
                 RUN if grep -q '\"build\"' package.json; then npm run --if-present build; fi\n\n\
                 FROM {base}\nWORKDIR /app\nENV NODE_ENV=production\nUSER node\n\
                 COPY --link --from=modules /app/node_modules /app/node_modules/\n\
                 COPY --link --from=build --exclude=node_modules /app /app/\nCMD [\"node\", \"{main}\"]\n",
                needed = install(" --omit=dev"),
                all = install(""),
                base = base(&node),
                main = package.unwrap_or("index.js"),
            )
        }
        ProjectKind::Python => {
            let python = builder(format!("python:{}-slim", version("3")));
            format!(
                "FROM {python} AS build\nWORKDIR /app\nRUN python3 -m venv /venv\n\
                 ENV VIRTUAL_ENV=/venv PATH=/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1\nCOPY . .\n\
                 RUN --mount=type=cache,target=/root/.cache/pip \\\n    \
                 if [ -f requirements.txt ]; then pip install --requirement requirements.txt; else pip install .; fi\n\n\
                 FROM {base}\nWORKDIR /app\nENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1\nUSER 65532:65532\n\
                 COPY --link --from=build /venv /venv/\nCOPY --link . /app/\nCMD [\"python3\", \"-m\", \"{module}\"]\n",
                base = base(&python),
                module = package.unwrap_or("main"),
            )
        }
        ProjectKind::Java => {
            let java = version("21");
            let usual = "mvn --batch-mode --define skipTests package && install -D target/*.jar /out/app.jar";
            format!(
                "FROM --platform=$BUILDPLATFORM {builder} AS build\nWORKDIR /src\nCOPY . .\n\
                 RUN --mount=type=cache,target=/root/.m2 {build}\n\n\
                 FROM {base}\nUSER 65532:65532\nCOPY --link --from=build /out/app.jar /app.jar\n\
                 ENTRYPOINT [\"java\", \"-jar\", \"/app.jar\"]\n",
                builder = builder(format!("maven:3-eclipse-temurin-{java}")),
                build = project.build.as_deref().unwrap_or(usual),
                base = base(&format!("eclipse-temurin:{java}-jre")),
            )
        }
        ProjectKind::Cmake => {
            let tools = match project.builder {
                Some(_) => String::new(),
                None => {
                    "RUN apt-get update && apt-get install --yes --no-install-recommends build-essential cmake \\\n    \
                         && rm -rf /var/lib/apt/lists/*\n"
                        .to_owned()
                }
            };
            format!(
                "FROM {builder} AS build\n{tools}WORKDIR /src\nCOPY . .\n\
                 RUN cmake -S . -B /build -D CMAKE_BUILD_TYPE=Release -D CMAKE_INSTALL_PREFIX=/usr/local \\\n    \
                 && cmake --build /build --parallel && DESTDIR=/out cmake --install /build\n\n\
                 FROM {base}\nUSER 65532:65532\nCOPY --link --from=build /out /\n\
                 ENTRYPOINT [\"/usr/local/bin/{binary}\"]\n",
                builder = builder("debian:bookworm".to_owned()),
                base = base("debian:bookworm-slim"),
                binary = package.unwrap_or(name),
            )
        }
        ProjectKind::Static => format!(
            "FROM {base}\nUSER 65532:65532\nCOPY --link . /www/\nEXPOSE 8080/tcp\n\
             CMD [\"httpd\", \"-f\", \"-v\", \"-p\", \"8080\", \"-h\", \"/www\"]\n",
            base = base("busybox:stable"),
        ),
    };
    format!("# syntax=docker/dockerfile:1\n{body}")
}

/// What is no part of the build.
pub(super) fn ignored(project: &Project) -> String {
    let own = match project.kind {
        ProjectKind::Go | ProjectKind::Static => "",
        ProjectKind::Rust | ProjectKind::Java => "target\nbuild\n",
        ProjectKind::Node => "node_modules\n",
        ProjectKind::Python => "**/__pycache__\n.venv\nvenv\n",
        ProjectKind::Cmake => "build\n",
    };
    format!(".git\n.dockerignore\nDockerfile\nbuild.toml\nllbc.lock\n{own}")
}
