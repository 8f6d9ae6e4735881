//! What a target takes from outside: arguments, secrets, SSH agents, caches.
//!
//! JSON and text are those of BuildKit v0.32's `frontend.outline` request, which tells nothing of caches.

use std::collections::{BTreeMap, BTreeSet};

use ast::{LineIndex, Module, Op, Span, Step, Text, visit};
use serde::Serialize;

use crate::plan::{ArgCapture, Captures, StageCapture};
use crate::table::{base64, columns, is_default};

pub use crate::table::Lines;

/// The outline of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outline {
    /// The target's name; empty if it has none.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// What its comment says.
    #[serde(skip_serializing_if = "is_default")]
    pub description: String,
    /// Arguments it uses, by line, then by name.
    #[serde(skip_serializing_if = "is_default")]
    pub args: Vec<OutlineArg>,
    /// Secrets it mounts, likewise.
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: Vec<OutlineMount>,
    /// SSH agents it mounts, likewise.
    #[serde(skip_serializing_if = "is_default")]
    pub ssh: Vec<OutlineMount>,
    /// Caches it mounts, likewise.
    #[serde(skip)]
    pub caches: Vec<OutlineMount>,
}

/// An argument of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutlineArg {
    /// Its name.
    pub name: String,
    /// What its comment says.
    #[serde(skip_serializing_if = "is_default")]
    pub description: String,
    /// The value it has in this build.
    #[serde(skip_serializing_if = "is_default")]
    pub value: String,
    /// Where it is declared.
    pub location: Lines,
}

/// A secret, an SSH agent, or a cache of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutlineMount {
    /// Its id.
    pub name: String,
    /// Whether the build fails without it.
    #[serde(skip_serializing_if = "is_default")]
    pub required: bool,
    /// Where it is first mounted.
    pub location: Lines,
}

/// The outline of the target that `captures` were taken for; `lines` are those of the module's file.
pub fn outline(module: &Module, lines: &LineIndex, captures: &Captures) -> Outline {
    let mut collector = Collector {
        lines,
        arg_steps: arg_steps(module),
        globals: captures.globals.iter().map(|arg| (arg.name.as_str(), arg)).collect(),
        seen: Seen::default(),
        outline: Outline::default(),
    };
    // From the target on, so that of two arguments of one name the target's is shown.
    let mut due = vec![captures.target];
    let mut visited = BTreeSet::new();
    while let Some(index) = due.pop() {
        let Some(stage) = captures.stages.get(index).filter(|_| visited.insert(index)) else { continue };
        collector.stage(stage);
        due.extend(stage.deps.iter().rev());
        due.extend(stage.base);
    }
    let mut outline = collector.outline.sorted();
    if let Some(def) = module.defs.get(captures.target) {
        // Parameters of a function that is built are its arguments.
        outline.args.extend(def.params.iter().map(|param| OutlineArg {
            name: param.name.text.clone(),
            description: param.ty.as_ref().map(|ty| ty.text.clone()).unwrap_or_default(),
            value: String::new(),
            location: lines.lines_of(param.name.span).into(),
        }));
        outline.name = def.name.as_ref().map(|name| name.text.clone()).unwrap_or_default();
        outline.description = def.doc.as_ref().map(|doc| doc.lossy().into_owned()).unwrap_or_default();
    }
    outline
}

/// Instructions that declare arguments, by where they start.
fn arg_steps(module: &Module) -> BTreeMap<u32, &Step> {
    let declares = |step: &&Step| matches!(step.op, Op::Arg(_));
    visit::steps(module).map(|(step, _)| step).filter(declares).map(|step| (step.span.start, step)).collect()
}

/// Names that are in the outline.
#[derive(Default)]
struct Seen<'a> {
    args: BTreeSet<&'a str>,
    secrets: BTreeSet<&'a str>,
    ssh: BTreeSet<&'a str>,
    caches: BTreeSet<&'a str>,
}

struct Collector<'a> {
    lines: &'a LineIndex,
    arg_steps: BTreeMap<u32, &'a Step>,
    globals: BTreeMap<&'a str, &'a ArgCapture>,
    seen: Seen<'a>,
    outline: Outline,
}

impl<'a> Collector<'a> {
    fn stage(&mut self, stage: &'a StageCapture) {
        // What the stage declares hides the module's arguments, unless it only passes them on.
        let own: BTreeMap<&str, &ArgCapture> =
            stage.args.iter().filter(|arg| !arg.inherited).map(|arg| (arg.name.as_str(), arg)).collect();
        let declared = stage.args.iter().map(|arg| arg.name.as_str());
        let mut due: Vec<&'a str> = stage.used.iter().map(String::as_str).chain(declared).collect();
        let mut used = BTreeSet::new();
        while let Some(name) = due.pop() {
            let Some(arg) = own.get(name).or_else(|| self.globals.get(name)).copied() else { continue };
            if used.insert(name) {
                due.extend(arg.uses.iter().map(String::as_str));
                self.arg(arg);
            }
        }
        let (seen, outline) = (&mut self.seen, &mut self.outline);
        for (met, seen, shown) in [
            (&stage.secrets, &mut seen.secrets, &mut outline.secrets),
            (&stage.ssh, &mut seen.ssh, &mut outline.ssh),
            (&stage.caches, &mut seen.caches, &mut outline.caches),
        ] {
            for mount in met {
                if seen.insert(&mount.id) {
                    let location = self.lines.lines_of(mount.step).into();
                    shown.push(OutlineMount { name: mount.id.clone(), required: mount.required, location });
                }
            }
        }
    }

    fn arg(&mut self, arg: &'a ArgCapture) {
        if !self.seen.args.insert(&arg.name) {
            return;
        }
        let description = self.documentation(arg).map(|doc| doc.lossy().into_owned());
        self.outline.args.push(OutlineArg {
            name: arg.name.clone(),
            description: description.unwrap_or_default(),
            value: arg.value.clone().unwrap_or_default(),
            location: self.location(arg.step),
        });
    }

    fn documentation(&self, arg: &ArgCapture) -> Option<&Text> {
        let Op::Arg(params) = &self.arg_steps.get(&arg.step.start)?.op else { return None };
        params.get(arg.index)?.doc.as_ref()
    }

    fn location(&self, step: Span) -> Lines {
        self.lines.lines_of(step).into()
    }
}

impl Outline {
    /// Puts every list in order.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.args.sort_by(|a, b| (a.location.first, &a.name).cmp(&(b.location.first, &b.name)));
        for mounts in [&mut self.secrets, &mut self.ssh, &mut self.caches] {
            mounts.sort_by(|a, b| (a.location.first, &a.name).cmp(&(b.location.first, &b.name)));
        }
        self
    }

    /// BuildKit's JSON; `source` is the text of the file.
    pub fn json(&self, source: &[u8]) -> Vec<u8> {
        #[derive(Serialize)]
        struct WithSource<'a> {
            #[serde(flatten)]
            outline: &'a Outline,
            sources: [String; 1],
        }
        oci::json::to_vec_indented(&WithSource { outline: self, sources: [base64(source)] })
    }

    /// Tables for people, with the caches.
    pub fn tables(&self) -> String {
        let mut out = self.text();
        if !self.caches.is_empty() {
            let rows = self.caches.iter().map(|cache| [cache.name.as_str()]);
            out.push_str(&columns(&std::iter::once(["CACHE"]).chain(rows).collect::<Vec<_>>(), 3));
            out.push('\n');
        }
        out
    }

    /// BuildKit's tables for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if !self.name.is_empty() || !self.description.is_empty() {
            let name = if self.name.is_empty() { "(default)" } else { &self.name };
            let description = ["DESCRIPTION:", &self.description];
            let rows = [["TARGET:", name], description];
            out.push_str(&columns(if self.description.is_empty() { &rows[..1] } else { &rows }, 1));
            out.push('\n');
        }
        if !self.args.is_empty() {
            let rows = self.args.iter().map(|arg| [arg.name.as_str(), &arg.value, &arg.description]);
            let head = ["BUILD ARG", "VALUE", "DESCRIPTION"];
            out.push_str(&columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), 3));
            out.push('\n');
        }
        for (title, mounts) in [("SECRET", &self.secrets), ("SSH", &self.ssh)] {
            if !mounts.is_empty() {
                let rows = mounts.iter().map(|m| [m.name.as_str(), if m.required { "true" } else { "" }]);
                out.push_str(&columns(&std::iter::once([title, "REQUIRED"]).chain(rows).collect::<Vec<_>>(), 3));
                out.push('\n');
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline() -> Outline {
        let at = |line| Lines { first: line, last: line };
        let arg = |name: &str, value: &str, line| OutlineArg {
            name: name.to_owned(),
            description: String::new(),
            value: value.to_owned(),
            location: at(line),
        };
        Outline {
            name: "app".to_owned(),
            description: "is <it>".to_owned(),
            args: vec![arg("B", "", 2), arg("VERSION", "3.20", 1), arg("A", "x", 2)],
            secrets: vec![OutlineMount { name: "tok".to_owned(), required: true, location: at(3) }],
            ssh: Vec::new(),
            caches: vec![OutlineMount { name: "/root/.cache".to_owned(), required: false, location: at(4) }],
        }
        .sorted()
    }

    #[test]
    fn tables() {
        let expected = "TARGET:      app\nDESCRIPTION: is <it>\n\nBUILD ARG   VALUE   DESCRIPTION\n\
            VERSION     3.20    \nA           x       \nB                   \n\nSECRET   REQUIRED\ntok      true\n\n";
        assert_eq!(outline().text(), expected);
        assert_eq!(outline().tables(), format!("{expected}CACHE\n/root/.cache\n\n"));
    }

    #[test]
    fn json_as_go_prints_it() {
        let json = String::from_utf8(outline().json(b"")).expect("text");
        assert!(json.starts_with("{\n  \"name\": \"app\",\n  \"description\": \"is \\u003cit\\u003e\",\n"), "{json}");
        assert!(json.ends_with("\"sources\": [\n    \"\"\n  ]\n}"), "{json}");
    }
}
