//! What a build spec says of results: tests, files, several images of one, what images must be like. Part of the model.

use super::model::{Command, Stage};
use super::read::{At, Map, Scalar, Text, tables};

tables! {
    /// A test: a stage whose processes must succeed.
    Test as "test" {
        /// The command line, or the program with its arguments, that must succeed; after the steps.
        "run" => run: Command,
        /// What the command prints must have this in it.
        "stdout" => stdout: Text,
        /// What the files must be like afterwards.
        "check" => check: Check,
        .. stage: Stage,
    }

    /// Files for a directory beside the spec.
    Files as "files" {
        /// As in `copy`: what is in a directory, or a file.
        "from" => from: Text,
        /// The directory, from that of the spec.
        "to" => to: Text,
        /// Patterns of what is taken.
        "only" => only: Vec<Text>,
        /// Patterns of what is not.
        "except" => except: Vec<Text>,
        /// Platforms they are built for when nobody asks for others; that of the builder when nothing is said.
        "platforms" => platforms: Vec<Text>,
    }

    /// Several images of one: one for each combination of values.
    Matrix as "matrix" {
        /// Variables with the values that they take, each in its turn.
        "var" => var: Map<Vec<Scalar>>,
        /// The name of each image: `server-${var.edition}`; the image and its values with `-` between them when nothing is said.
        "name" => name: Text,
        /// Combinations that there are not: tables of variables with a value.
        "skip" => skip: Vec<Map<Scalar>>,
    }

    /// What is attested of an image.
    Attest as "attest" {
        /// A list of what is in it.
        "sbom" => sbom: At<bool>,
        /// How it was made: `min`, `max`, or whether at all.
        "provenance" => provenance: Scalar,
    }

    /// What files must be like.
    Check as "check" {
        /// Most bytes of all files together: `40MB`, `20MiB`.
        "max-size" => max_size: Text,
        /// Most layers.
        "layers" => layers: At<i64>,
        /// Paths and patterns that nothing may match: `/bin/sh`, `**/*.go`.
        "absent" => absent: Vec<Text>,
        /// Paths and patterns that something must match.
        "present" => present: Vec<Text>,
        /// The user of the image, or `non-root` for anybody but root.
        "user" => user: Text,
        /// Whether there may be no file that runs as its owner or group.
        "no-setuid" => no_setuid: At<bool>,
        /// Variables that the image may not have.
        "env-absent" => env_absent: Vec<Text>,
    }

    /// Which rules look at the spec.
    Lint as "lint" {
        /// Rules that do not run.
        "ignore" => ignore: Vec<Text>,
        /// Rules that run, and whose findings fail the build.
        "error" => error: Vec<Text>,
    }
}

/// The name that a group, a target and a requirement call a test by.
pub(super) fn test_name(name: &str) -> String {
    format!("test.{name}")
}
