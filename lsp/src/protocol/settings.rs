//! What the user has set: in the editor, and in `llbc.toml` at the root of a workspace folder.
//!
//! Both have the same names. The editor's word counts more: it is the one of the person who looks at the text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use compiler::Options;
use oci::Platform;
use serde::Deserialize;

/// Settings; what is not set is `None` or empty.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Directory of the build context, relative to the workspace folder; the folder of the file if it is not set.
    pub context: Option<PathBuf>,
    /// Stage to look at; all if it is not set.
    pub target: Option<String>,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// Settings of rules, in the words of `# check=`; they replace those of the file.
    pub check: Option<String>,
    /// Rules to run beside those that always do: names, or `all`; as `llbc check --rules` takes them.
    pub rules: Vec<String>,
    /// Where facts about images come from.
    pub facts: FactSettings,
    /// Whether the client runs the commands of code lenses (`llbc.build`, `llbc.showReferences`).
    pub code_lens: Option<bool>,
    /// Whether inlay hints are given.
    pub inlay_hints: Option<bool>,
}

/// Where facts about images come from.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct FactSettings {
    /// Whether images are looked up at all; they are unless this is `false`.
    pub enabled: Option<bool>,
    /// Whether registries are asked. Not unless this is `true`: names of images may be nobody else's business.
    pub registry: Option<bool>,
    /// Lock files, relative to the workspace folder.
    pub files: Vec<PathBuf>,
}

impl Settings {
    /// Settings of an editor: as they are, or under the name of the program.
    pub(crate) fn from_client(value: serde_json::Value) -> Result<Self, String> {
        let value = match value {
            serde_json::Value::Null => return Ok(Self::default()),
            serde_json::Value::Object(mut fields) => fields.remove("llbc").unwrap_or(serde_json::Value::Object(fields)),
            other => other,
        };
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// These settings, and where they say nothing those of the folder.
    #[must_use]
    pub(crate) fn over(&self, folder: &Self) -> Self {
        let mut build_args = folder.build_args.clone();
        build_args.extend(self.build_args.clone());
        let files = if self.facts.files.is_empty() { &folder.facts.files } else { &self.facts.files };
        Self {
            context: self.context.clone().or_else(|| folder.context.clone()),
            target: self.target.clone().or_else(|| folder.target.clone()),
            build_args,
            check: self.check.clone().or_else(|| folder.check.clone()),
            rules: if self.rules.is_empty() { folder.rules.clone() } else { self.rules.clone() },
            facts: FactSettings {
                enabled: self.facts.enabled.or(folder.facts.enabled),
                registry: self.facts.registry.or(folder.facts.registry),
                files: files.clone(),
            },
            code_lens: self.code_lens.or(folder.code_lens),
            inlay_hints: self.inlay_hints.or(folder.inlay_hints),
        }
    }

    /// The options of the compiler for a file of this name.
    pub(crate) fn options(&self, name: &str, host: &Platform) -> Options {
        let mut opts = BTreeMap::new();
        if name != "Dockerfile" {
            opts.insert("filename".to_owned(), name.to_owned());
        }
        if let Some(target) = &self.target {
            opts.insert("target".to_owned(), target.clone());
        }
        if let Some(check) = &self.check {
            opts.insert("build-arg:BUILDKIT_DOCKERFILE_CHECK".to_owned(), check.clone());
        }
        for (key, value) in &self.build_args {
            opts.insert(format!("build-arg:{key}"), value.clone());
        }
        let build_platforms = vec![host.clone()];
        Options { opts, build_platforms, rules: self.rules.clone(), ..Options::default() }
    }

    /// The build context of a file.
    pub(crate) fn context_of(&self, file: &Path, folder: Option<&Path>) -> PathBuf {
        let own = file.parent().unwrap_or(Path::new("."));
        match &self.context {
            Some(context) => folder.unwrap_or(own).join(context),
            None => own.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_editor_goes_before_the_folder() {
        let client = json!({"llbc": {"target": "a", "buildArgs": {"V": "1"}}});
        let client = Settings::from_client(client).unwrap();
        let folder = json!({"target": "b", "buildArgs": {"V": "2", "W": "3"}, "facts": {"registry": true}});
        let folder = Settings::from_client(folder).unwrap();
        let options = client.over(&folder).options("x.Dockerfile", &Platform::new("linux", "amd64"));
        let shown: Vec<_> = options.opts.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(shown, ["build-arg:V=1", "build-arg:W=3", "filename=x.Dockerfile", "target=a"]);
        assert_eq!(client.over(&folder).facts.registry, Some(true));
        assert!(Settings::from_client(json!({"target": 1})).is_err());
    }

    #[test]
    fn the_context_is_the_folder_of_the_file() {
        let mut settings = Settings::default();
        let file = Path::new("/w/a/Dockerfile");
        assert_eq!(settings.context_of(file, Some(Path::new("/w"))), Path::new("/w/a"));
        settings.context = Some("c".into());
        assert_eq!(settings.context_of(file, Some(Path::new("/w"))), Path::new("/w/c"));
    }
}
