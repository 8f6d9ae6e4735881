//! Variables of a bake file: which of them are variables of a spec, too.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bake::{self, Bake};
use crate::commands::build::usual;

/// Keys whose texts may have variables of a spec in them.
const TEXTS: &[&str] = &["annotations", "args", "labels", "tags"];

/// What became of the variables.
pub(super) struct Variables {
    /// Those that are only part of texts, with their defaults.
    pub(super) kept: Vec<(String, String)>,
    /// Those that decide what is built.
    pub(super) deciding: Vec<String>,
    /// What marks begin with: a number that stands nowhere in the text.
    stem: String,
}

impl Variables {
    /// Finds out what each variable does, by giving it a value that no text has.
    pub(super) fn find(name: &str, text: &str, bake: &Bake) -> Self {
        let stem = (731..1000).map(|stem| stem.to_string()).find(|stem| !text.contains(stem.as_str()));
        let mut variables = Self { kept: Vec::new(), deciding: Vec::new(), stem: stem.unwrap_or_default() };
        // What the file says with marks for those that are kept so far.
        let mut known = None;
        for variable in &bake.variables {
            variables.kept.push(variable.clone());
            let marked = variables.read(name, text);
            let depends = |marked: &Bake| marked.targets != known.as_ref().unwrap_or(bake).targets;
            match marked {
                Some(marked) if depends(&marked) && variables.says(&marked, bake) => known = Some(marked),
                marked => {
                    variables.kept.pop();
                    if marked.is_none_or(|marked| depends(&marked)) {
                        variables.deciding.push(variable.0.clone());
                    }
                }
            }
        }
        variables
    }

    /// The file with marks for the variables that are kept.
    fn read(&self, name: &str, text: &str) -> Option<Bake> {
        Bake::read(name, text, &self.marking()).ok()
    }

    /// Values of variables: a mark for each that is kept.
    pub(super) fn marking(&self) -> impl Fn(&str) -> Option<String> + use<> {
        let marks = self.marks();
        move |name| marks.get(name).cloned().or_else(|| usual(name))
    }

    /// The marks, which are numbers where numbers are wanted.
    pub(super) fn marks(&self) -> BTreeMap<String, String> {
        let mark = |(at, (name, _)): (usize, &(String, String))| (name.clone(), format!("{}{at:06}", self.stem));
        self.kept.iter().enumerate().map(mark).collect()
    }

    /// Whether the file with marks says what it says without, but for the marks in texts.
    fn says(&self, marked: &Bake, plain: &Bake) -> bool {
        let marks = self.marks();
        let defaults: BTreeMap<&str, &str> = self.kept.iter().map(|(name, value)| (&**name, &**value)).collect();
        let unmarked = |text: String| {
            marks.iter().fold(text, |text, (name, mark)| text.replace(mark.as_str(), defaults[name.as_str()]))
        };
        let alike = |(marked, plain): (&bake::Target, &bake::Target)| {
            marked.name == plain.name
                && marked.keys.keys().eq(plain.keys.keys())
                && marked.keys.iter().zip(plain.keys.values()).all(|((key, value), plain)| {
                    let is_text = TEXTS.contains(&key.as_str());
                    value == plain || is_text && texts(value).into_iter().map(unmarked).eq(texts(plain))
                })
        };
        marked.groups == plain.groups
            && marked.targets.len() == plain.targets.len()
            && marked.targets.iter().zip(&plain.targets).all(alike)
    }

    /// A text as a spec has it: marks are references.
    pub(super) fn template(&self, text: &str) -> String {
        let marks = self.marks();
        marks.iter().fold(text.to_owned(), |text, (name, mark)| text.replace(mark, &format!("${{var.{name}}}")))
    }
}

/// The texts of a value, in its order.
fn texts(value: &Value) -> Vec<String> {
    if value.is_object() { bake::pairs(value) } else { bake::list(value) }
}
