//! What results must be like before they go anywhere: files that must be there or must not, sizes, users.
//!
//! Looked at after everything is built and before anything is exported, so that what is not as expected leaves nothing.

use std::collections::HashSet;
use std::ffi::CStr;
use std::io;
use std::ops::Range;
use std::path::Path;

use oci::ignore::Patterns;
use rustix::fs::FileType;

use crate::exporters::Built;
use crate::snapshot::stack::kind;
use crate::snapshot::{Files, OpenDir};
use crate::{Error, Result};

/// Paths named of one pattern, at the most.
const SHOWN: usize = 3;
/// Permission bits that make a process run as the owner or the group of its file.
const SETID: u32 = 0o6000;

/// What some results must be like.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// What messages call them: `image server`.
    pub name: String,
    /// Which results of the definition.
    pub results: Range<usize>,
    /// Most bytes of all files together; a file with several names counts once.
    pub max_bytes: Option<u64>,
    /// Most layers.
    pub max_layers: Option<u64>,
    /// Patterns, as in a `.dockerignore`, that nothing may match.
    pub absent: Vec<String>,
    /// Patterns that something must match.
    pub present: Vec<String>,
    /// Variables that the image may not have.
    pub env_absent: Vec<String>,
    /// Whether its user must not be root.
    pub not_root: bool,
    /// The user it must have.
    pub user: Option<String>,
    /// Whether no file may run as its owner or group.
    pub no_setuid: bool,
}

/// Compares a result with what is expected of it; `layers` is how many its image has, `files` are its own.
///
/// **Errors**: everything that is not as expected, in one message.
pub(crate) fn check(expected: &Expectation, built: &Built, layers: usize, files: &Files) -> Result<()> {
    let mut wrong = Vec::new();
    config(expected, built, &mut wrong);
    if let Some(most) = expected.max_layers.filter(|most| layers as u64 > *most) {
        wrong.push(format!("it has {layers} layers, and may have {most}"));
    }
    let mut walk = Walk::new(expected)?;
    let root = files.open_dir(Path::new("/")).map_err(Error::io("open", "/"))?;
    walk.dir(&root).map_err(Error::io("look through", &*expected.name))?;
    walk.report(&mut wrong);
    if wrong.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = wrong.iter().map(|what| format!("\n  - {what}")).collect();
    Err(Error::Invalid(format!(
        "{} for {} is not what its check expects:{}",
        expected.name,
        built.platform.short(),
        list.concat()
    )))
}

/// What the config says of users and variables.
fn config(expected: &Expectation, built: &Built, wrong: &mut Vec<String>) {
    let config: serde_json::Value =
        built.config.as_deref().and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default();
    let user = config["config"]["User"].as_str().unwrap_or_default();
    if expected.not_root && matches!(user.split(':').next(), Some("" | "0" | "root")) {
        wrong.push("its user is root".to_owned());
    }
    if let Some(wanted) = expected.user.as_deref().filter(|wanted| *wanted != user) {
        wrong.push(format!("its user is {user:?}, and not {wanted:?}"));
    }
    let variables = config["config"]["Env"].as_array().into_iter().flatten().filter_map(|entry| entry.as_str());
    for name in variables.filter_map(|entry| entry.split('=').next()) {
        if expected.env_absent.iter().any(|absent| absent == name) {
            wrong.push(format!("it has the variable {name}"));
        }
    }
}

struct Walk<'e> {
    expected: &'e Expectation,
    /// By pattern, what matches.
    absent: Vec<(Patterns, Vec<String>)>,
    present: Vec<(Patterns, bool)>,
    setid: Vec<String>,
    bytes: u64,
    /// Files with several names, by device and inode.
    counted: HashSet<(u64, u64)>,
    path: Vec<u8>,
}

impl<'e> Walk<'e> {
    fn new(expected: &'e Expectation) -> Result<Self> {
        let pattern = |text: &String| {
            Patterns::new(&[text.trim_start_matches('/')])
                .map_err(|error| Error::Invalid(format!("{}: pattern {text:?}: {error}", expected.name)))
        };
        Ok(Self {
            expected,
            absent: expected.absent.iter().map(|text| Ok((pattern(text)?, Vec::new()))).collect::<Result<_>>()?,
            present: expected.present.iter().map(|text| Ok((pattern(text)?, false))).collect::<Result<_>>()?,
            setid: Vec::new(),
            bytes: 0,
            counted: HashSet::new(),
            path: Vec::new(),
        })
    }

    fn dir(&mut self, dir: &OpenDir) -> io::Result<()> {
        for name in dir.names()? {
            let length = self.path.len();
            if length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            self.entry(dir, &name)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn entry(&mut self, dir: &OpenDir, name: &CStr) -> io::Result<()> {
        let stat = dir.stat(name)?;
        let shown = || format!("/{}", String::from_utf8_lossy(&self.path));
        for (pattern, found) in &mut self.absent {
            if found.len() <= SHOWN && pattern.matches(&self.path) {
                found.push(shown());
            }
        }
        for (pattern, found) in &mut self.present {
            *found = *found || pattern.matches(&self.path);
        }
        match kind(&stat) {
            FileType::Directory => return self.dir(&dir.open_dir(name)?),
            FileType::RegularFile => {
                if stat.st_mode & SETID != 0 {
                    self.setid.push(shown());
                }
                if stat.st_nlink < 2 || self.counted.insert((stat.st_dev, stat.st_ino)) {
                    self.bytes += stat.st_size as u64;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn report(&self, wrong: &mut Vec<String>) {
        if let Some(most) = self.expected.max_bytes.filter(|most| self.bytes > *most) {
            wrong.push(format!("its files come to {} bytes, and may come to {most}", self.bytes));
        }
        for (text, (_, found)) in self.expected.absent.iter().zip(&self.absent) {
            if !found.is_empty() {
                wrong.push(format!("it has {}, and nothing may match {text}", few(found)));
            }
        }
        for (text, (_, found)) in self.expected.present.iter().zip(&self.present) {
            if !found {
                wrong.push(format!("nothing in it matches {text}"));
            }
        }
        if self.expected.no_setuid && !self.setid.is_empty() {
            wrong.push(format!("{} runs as its owner or group", few(&self.setid)));
        }
    }
}

/// The first of some paths.
fn few(paths: &[String]) -> String {
    let more = if paths.len() > SHOWN { " and more" } else { "" };
    format!("{}{more}", paths[..paths.len().min(SHOWN)].join(", "))
}
