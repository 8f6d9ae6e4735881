//! The words of Dockerfiles, for editors.

use crate::vocabulary::{Documented, Keyword, OptionWord, Takes, Value, Vocabulary};

/// The table.
pub(super) static VOCABULARY: Vocabulary =
    Vocabulary { keywords: KEYWORDS, variables: VARIABLES, directives: DIRECTIVES, comment: "#" };

const fn option(name: &'static str, value: Value, doc: &'static str) -> OptionWord {
    OptionWord { name, doc, value }
}

const fn documented(name: &'static str, doc: &'static str) -> Documented {
    Documented { name, doc }
}

const CHOWN: OptionWord = option(
    "--chown",
    Value::Text("user:group"),
    "Owner of what is written: names or numbers, `user` or `user:group`. Without it everything belongs to 0:0.",
);
const CHMOD: OptionWord = option(
    "--chmod",
    Value::Text("755"),
    "Permissions of what is written, in octal (`755`) or symbolic (`u=rw,go=r`) form.",
);
const LINK: OptionWord = option(
    "--link",
    Value::Switch,
    "Writes into a layer of its own that does not depend on what is below: it stays cached when the base changes, and \
     paths do not follow symbolic links of the base.",
);
const EXCLUDE: OptionWord = option(
    "--exclude",
    Value::Text("*.md"),
    "Leaves out paths that match a pattern, relative to the source. May be given several times.",
);

const MOUNT_FIELDS: &[OptionWord] = &[
    option(
        "dst",
        Value::Text("/path"),
        "Where the mount appears in the step: `target`, `dst` and `destination` are the same.",
    ),
    option("env", Value::Text("NAME"), "Puts the secret into this environment variable, instead of or beside a file."),
    option(
        "from",
        Value::Source,
        "What is mounted: a stage, an image or a named context. Without it, the build context (`bind`) or nothing \
         (`cache`).",
    ),
    option("gid", Value::Text("0"), "Group of the mount, as a number."),
    option(
        "id",
        Value::Text("name"),
        "Which cache, secret or agent. A cache without an id is named by its target; a secret by the last part of its \
         target.",
    ),
    option("mode", Value::Text("0755"), "Permissions of the mount, in octal."),
    option("readonly", Value::Switch, "The step cannot write to it; `ro` is the same. Binds are read only by default."),
    option(
        "readwrite",
        Value::Switch,
        "The step can write to it; `rw` is the same. What is written to a bind is discarded.",
    ),
    option("required", Value::Switch, "The step fails when the secret or the agent is missing."),
    option(
        "sharing",
        Value::OneOf(&["shared", "private", "locked"]),
        "What steps that use the cache at once do: `shared` lets all write, `private` gives each its own, `locked` makes \
         them wait.",
    ),
    option("size", Value::Text("64m"), "Upper limit of the tmpfs."),
    option("source", Value::Path, "Path in what is mounted; `src` is the same."),
    option("target", Value::Text("/path"), "Where the mount appears in the step."),
    option(
        "type",
        Value::OneOf(&["bind", "cache", "secret", "ssh", "tmpfs"]),
        "`bind` (the default) shows files of another source, `cache` keeps a directory between builds, `secret` shows a \
         file that never reaches an image, `ssh` an agent's socket, `tmpfs` memory.",
    ),
    option("uid", Value::Text("0"), "Owner of the mount, as a number."),
];

const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "ADD",
        forms: &["ADD [options] <source>... <destination>", "ADD [options] [\"<source>\", \"<destination>\"]"],
        doc: "Copies files, and also fetches addresses and git repositories and unpacks local archives. For plain files \
              `COPY` says the same with fewer surprises.",
        url: "https://docs.docker.com/reference/dockerfile/#add",
        options: &[
            option(
                "--checksum",
                Value::Text("sha256:…"),
                "Digest that the fetched file, or the commit that the repository, must have.",
            ),
            CHMOD,
            CHOWN,
            EXCLUDE,
            option("--keep-git-dir", Value::Switch, "Keeps `.git` of a repository that is added."),
            LINK,
            option(
                "--unpack",
                Value::Switch,
                "Whether archives are unpacked; local ones are by default, fetched ones not.",
            ),
        ],
        takes: Takes::Paths,
    },
    Keyword {
        name: "ARG",
        forms: &["ARG <name>[=<default>]..."],
        doc: "Declares a build argument: `--build-arg` sets it, the default stands in. It is seen from here to the end of \
              the stage; before the first `FROM` it is seen by `FROM` alone, and by stages that declare it again. Its \
              value ends up in the history of the image: no place for secrets.",
        url: "https://docs.docker.com/reference/dockerfile/#arg",
        options: &[],
        takes: Takes::Variables,
    },
    Keyword {
        name: "CMD",
        forms: &["CMD [\"<program>\", \"<argument>\"]", "CMD <command>"],
        doc: "What a container runs by default, or the arguments of `ENTRYPOINT`. The last one of a stage counts.",
        url: "https://docs.docker.com/reference/dockerfile/#cmd",
        options: &[],
        takes: Takes::Command,
    },
    Keyword {
        name: "COPY",
        forms: &["COPY [options] <source>... <destination>", "COPY [options] [\"<source>\", \"<destination>\"]"],
        doc: "Copies files of the build context, of a stage or of an image. A destination that ends in `/` is a \
              directory; a relative one is below `WORKDIR`. Here-documents (`<<NAME`) are files as well.",
        url: "https://docs.docker.com/reference/dockerfile/#copy",
        options: &[
            CHMOD,
            CHOWN,
            EXCLUDE,
            option(
                "--from",
                Value::Source,
                "Copies from a stage (by name or number), a named context or an image, instead of the build context. \
                 Takes no variables.",
            ),
            LINK,
            option(
                "--parents",
                Value::Switch,
                "Keeps the directories above each source; `/./` marks where they begin.",
            ),
        ],
        takes: Takes::Paths,
    },
    Keyword {
        name: "ENTRYPOINT",
        forms: &["ENTRYPOINT [\"<program>\", \"<argument>\"]", "ENTRYPOINT <command>"],
        doc: "The program of a container. In the list form it gets signals, and `CMD` as its arguments; in the other a \
              shell stands between. The last one of a stage counts.",
        url: "https://docs.docker.com/reference/dockerfile/#entrypoint",
        options: &[],
        takes: Takes::Command,
    },
    Keyword {
        name: "ENV",
        forms: &["ENV <name>=<value>..."],
        doc: "Sets variables for the steps that follow and for containers. They stay in the image.",
        url: "https://docs.docker.com/reference/dockerfile/#env",
        options: &[],
        takes: Takes::Variables,
    },
    Keyword {
        name: "EXPOSE",
        forms: &["EXPOSE <port>[/<protocol>]..."],
        doc: "Notes that the container listens on ports; publishes nothing by itself. The protocol is `tcp` unless said \
              otherwise.",
        url: "https://docs.docker.com/reference/dockerfile/#expose",
        options: &[],
        takes: Takes::Text,
    },
    Keyword {
        name: "FROM",
        forms: &["FROM [--platform=<platform>] <image> [AS <name>]"],
        doc: "Begins a stage: from an image, an earlier stage, or nothing (`scratch`). Only arguments declared before \
              the first `FROM` can be used in it.",
        url: "https://docs.docker.com/reference/dockerfile/#from",
        options: &[option(
            "--platform",
            Value::Platform,
            "Platform of the image, when not that of the target: `$BUILDPLATFORM` for tools that run in the build.",
        )],
        takes: Takes::Base,
    },
    Keyword {
        name: "HEALTHCHECK",
        forms: &["HEALTHCHECK [options] CMD <command>", "HEALTHCHECK NONE"],
        doc: "How to tell whether a container is well: exit code 0 is healthy, 1 is not. `NONE` takes the check of the \
              base away.",
        url: "https://docs.docker.com/reference/dockerfile/#healthcheck",
        options: &[
            option("--interval", Value::Text("30s"), "Time between checks."),
            option("--retries", Value::Text("3"), "Failures in a row until the container is unhealthy."),
            option("--start-interval", Value::Text("5s"), "Time between checks while the container starts."),
            option("--start-period", Value::Text("0s"), "Time to start in which failures do not count."),
            option("--timeout", Value::Text("30s"), "Time after which a check has failed."),
        ],
        takes: Takes::Words(&["CMD", "NONE"]),
    },
    Keyword {
        name: "LABEL",
        forms: &["LABEL <key>=<value>..."],
        doc: "Puts metadata on the image.",
        url: "https://docs.docker.com/reference/dockerfile/#label",
        options: &[],
        takes: Takes::Text,
    },
    Keyword {
        name: "MAINTAINER",
        forms: &["MAINTAINER <name>"],
        doc: "Names the author. Deprecated: use `LABEL org.opencontainers.image.authors=…`.",
        url: "https://docs.docker.com/reference/dockerfile/#maintainer-deprecated",
        options: &[],
        takes: Takes::Text,
    },
    Keyword {
        name: "ONBUILD",
        forms: &["ONBUILD <instruction>"],
        doc: "Keeps an instruction for builds that are based on this image: they run it right after their `FROM`.",
        url: "https://docs.docker.com/reference/dockerfile/#onbuild",
        options: &[],
        takes: Takes::Line,
    },
    Keyword {
        name: "RUN",
        forms: &["RUN [options] <command>", "RUN [options] [\"<program>\", \"<argument>\"]", "RUN [options] <<NAME"],
        doc: "Runs a command on top of the stage and keeps what it changes as a layer. The first form goes through the \
              shell; a here-document is a script.",
        url: "https://docs.docker.com/reference/dockerfile/#run",
        options: &[
            option("--device", Value::Text("vendor.com/class=name"), "Gives the step a device, by its CDI name."),
            option(
                "--mount",
                Value::Fields(MOUNT_FIELDS),
                "Shows the step something that does not become part of the layer: a cache, a secret, an agent, files of \
                 another stage. May be given several times.",
            ),
            option(
                "--network",
                Value::OneOf(&["default", "none", "host"]),
                "The step's network: `none` cuts it off, `host` needs the builder's permission.",
            ),
            option(
                "--security",
                Value::OneOf(&["sandbox", "insecure"]),
                "`insecure` runs the step with all privileges and needs the builder's permission.",
            ),
        ],
        takes: Takes::Command,
    },
    Keyword {
        name: "SHELL",
        forms: &["SHELL [\"<program>\", \"<argument>\"]"],
        doc: "The shell of commands that are not lists, from here on. The default is `[\"/bin/sh\", \"-c\"]`.",
        url: "https://docs.docker.com/reference/dockerfile/#shell",
        options: &[],
        takes: Takes::Text,
    },
    Keyword {
        name: "STOPSIGNAL",
        forms: &["STOPSIGNAL <signal>"],
        doc: "The signal that stops a container: a name or a number.",
        url: "https://docs.docker.com/reference/dockerfile/#stopsignal",
        options: &[],
        takes: Takes::Words(&["SIGTERM", "SIGINT", "SIGQUIT", "SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"]),
    },
    Keyword {
        name: "USER",
        forms: &["USER <user>[:<group>]"],
        doc: "Who runs the steps that follow, and containers: names or numbers.",
        url: "https://docs.docker.com/reference/dockerfile/#user",
        options: &[],
        takes: Takes::Text,
    },
    Keyword {
        name: "VOLUME",
        forms: &["VOLUME <path>...", "VOLUME [\"<path>\"]"],
        doc: "Marks paths as mount points of containers. What later steps write there is lost with some builders.",
        url: "https://docs.docker.com/reference/dockerfile/#volume",
        options: &[],
        takes: Takes::Text,
    },
    Keyword {
        name: "WORKDIR",
        forms: &["WORKDIR <path>"],
        doc: "The directory that steps and containers start in; it is made if it is missing. A relative path is below \
              the one before.",
        url: "https://docs.docker.com/reference/dockerfile/#workdir",
        options: &[],
        takes: Takes::Text,
    },
];

const VARIABLES: &[Documented] = &[
    documented("TARGETPLATFORM", "Platform of the result: `os/architecture[/variant]`."),
    documented("TARGETOS", "Operating system of the result."),
    documented("TARGETARCH", "Architecture of the result."),
    documented("TARGETVARIANT", "Variant of the architecture of the result; empty for most."),
    documented("TARGETSTAGE", "Name of the stage that is built."),
    documented("BUILDPLATFORM", "Platform of the machine that builds: `os/architecture[/variant]`."),
    documented("BUILDOS", "Operating system of the machine that builds."),
    documented("BUILDARCH", "Architecture of the machine that builds."),
    documented("BUILDVARIANT", "Variant of the architecture of the machine that builds."),
    documented("HTTP_PROXY", "Proxy for http, as steps get it; not kept in the image."),
    documented("HTTPS_PROXY", "Proxy for https, as steps get it; not kept in the image."),
    documented("FTP_PROXY", "Proxy for ftp, as steps get it; not kept in the image."),
    documented("NO_PROXY", "Hosts that need no proxy; not kept in the image."),
    documented("ALL_PROXY", "Proxy for everything, as steps get it; not kept in the image."),
    documented("SOURCE_DATE_EPOCH", "Seconds since 1970 that times in the image are set to."),
];

const DIRECTIVES: &[Documented] = &[
    documented("syntax", "The image of the frontend that reads this file: `# syntax=docker/dockerfile:1`."),
    documented("escape", "The character that continues lines and escapes: `\\` (the default) or a backtick."),
    documented(
        "check",
        "Settings of rules: `skip=RULE,…|all`, `error=true`, `experimental=RULE,…|all`, with `;` between.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::keyword::Keyword as Parsed;
    use crate::{Input, dockerfile::parse};

    const URL: &str = "https://docs.docker.com/reference/dockerfile/#";

    #[test]
    fn every_instruction_and_no_other() {
        let names: Vec<String> = KEYWORDS.iter().map(|keyword| keyword.name.to_lowercase()).collect();
        assert_eq!(names, Parsed::names().collect::<Vec<_>>());
        assert!(KEYWORDS.iter().all(|keyword| keyword.url.starts_with(URL)));
    }

    /// The parser names the options it knows when it meets one it does not know, one letter off.
    #[test]
    fn options_are_those_of_the_parser() {
        let arguments = [("FROM", "x"), ("HEALTHCHECK", "CMD x")];
        for keyword in KEYWORDS {
            let argument = arguments.iter().find(|(name, _)| *name == keyword.name).map_or("x /y", |found| found.1);
            for option in keyword.options {
                let value = match option.value {
                    Value::Switch => String::new(),
                    Value::OneOf(values) => format!("={}", values[0]),
                    Value::Fields(_) => "=type=tmpfs,target=/x".to_owned(),
                    Value::Text(example) => format!("={example}"),
                    Value::Source | Value::Platform | Value::Path => "=x".to_owned(),
                };
                let text = format!("FROM a\n{} {}{value} {argument}\n", keyword.name, option.name);
                let module = parse::parse(&Input::new(ast::FileId(0), text.as_bytes()));
                assert!(module.diagnostics.is_empty(), "{text}: {:?}", module.diagnostics);
            }
        }
    }

    #[test]
    fn tables_are_sorted() {
        assert!(KEYWORDS.iter().is_sorted_by_key(|keyword| keyword.name));
        for keyword in KEYWORDS {
            assert!(keyword.options.iter().is_sorted_by_key(|option| option.name), "{}", keyword.name);
        }
        assert!(MOUNT_FIELDS.iter().is_sorted_by_key(|field| field.name));
    }
}
