//! Reading image configs the way Go's decoder reads them into `DockerOCIImage`.
//!
//! Keys match in any case, `null` leaves a field unset, unknown fields are skipped, and the first value of a wrong type
//! is reported in Go's words, because BuildKit shows them to the user.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::borrowed::Json;
use crate::config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
use crate::{Digest, Time};

/// Why bytes are no image config.
#[derive(Debug)]
pub enum ConfigError {
    /// Not JSON.
    Syntax(serde_json::Error),
    /// A value of the wrong type.
    Type {
        /// What stands there: `string`, `array`, ….
        found: String,
        /// Dotted path of the field; empty for the document.
        field: String,
        /// Go's name of what should: `[]string`.
        wanted: &'static str,
    },
    /// A value of the right type that means nothing.
    Value(String),
}

type Result<T> = std::result::Result<T, ConfigError>;

impl ImageConfig {
    /// Reads a config. **Errors**: in Go's words.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        // Texts of a text need not be looked at one by one.
        let value = match std::str::from_utf8(bytes) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(bytes),
        };
        let value = value.map_err(ConfigError::Syntax)?;
        image(Field { value: &value, path: Path::Document })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => error.fmt(f),
            Self::Type { found, field, wanted } if field.is_empty() => {
                write!(f, "json: cannot unmarshal {found} into Go value of type {wanted}")
            }
            Self::Type { found, field, wanted } => {
                write!(f, "json: cannot unmarshal {found} into Go struct field DockerOCIImage.{field} of type {wanted}")
            }
            Self::Value(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Syntax(error) => Some(error),
            _ => None,
        }
    }
}

/// A value and where it stands.
struct Field<'a> {
    value: &'a Json<'a>,
    path: Path<'a>,
}

/// Where a value stands; printed only when something is wrong with it.
#[derive(Clone, Copy)]
enum Path<'p> {
    /// It is the document.
    Document,
    /// It is a field of what stands there.
    Field(&'p Path<'p>, &'static str),
}

/// Dotted.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document => Ok(()),
            Self::Field(Self::Document, key) => f.write_str(key),
            Self::Field(parent, key) => write!(f, "{parent}.{key}"),
        }
    }
}

fn image(field: Field<'_>) -> Result<ImageConfig> {
    const KEYS: &[&str] = &[
        "created",
        "author",
        "architecture",
        "os",
        "os.version",
        "os.features",
        "variant",
        "rootfs",
        "history",
        "config",
    ];
    let mut image = ImageConfig::default();
    field.each(KEYS, "v1.DockerOCIImage", |key, field| {
        match key {
            "created" => image.created = field.time()?,
            "author" => image.author = field.string()?,
            "architecture" => image.platform.architecture = field.string()?,
            "os" => image.platform.os = field.string()?,
            "os.version" => image.platform.os_version = field.string()?,
            "os.features" => image.platform.os_features = field.strings()?,
            "variant" => image.platform.variant = field.string()?,
            "rootfs" => image.rootfs = root_fs(field)?,
            "history" => image.history = field.list("[]v1.History", history)?.unwrap_or_default(),
            _ => image.config = container(field)?,
        }
        Ok(())
    })?;
    Ok(image)
}

fn root_fs(field: Field<'_>) -> Result<RootFs> {
    let mut root_fs = RootFs::default();
    field.each(&["type", "diff_ids"], "v1.RootFS", |key, field| {
        match key {
            "type" => root_fs.kind = field.string()?,
            _ => root_fs.diff_ids = field.list("[]digest.Digest", |field| field.digest())?,
        }
        Ok(())
    })?;
    Ok(root_fs)
}

fn history(field: Field<'_>) -> Result<History> {
    let mut history = History::default();
    field.each(&["created", "created_by", "author", "comment", "empty_layer"], "v1.History", |key, field| {
        match key {
            "created" => history.created = field.time()?,
            "created_by" => history.created_by = field.string()?,
            "author" => history.author = field.string()?,
            "comment" => history.comment = field.string()?.into(),
            _ => history.empty_layer = field.boolean()?,
        }
        Ok(())
    })?;
    Ok(history)
}

fn container(field: Field<'_>) -> Result<ContainerConfig> {
    const KEYS: &[&str] = &[
        "User",
        "ExposedPorts",
        "Env",
        "Entrypoint",
        "Cmd",
        "Volumes",
        "WorkingDir",
        "Labels",
        "StopSignal",
        "ArgsEscaped",
        "Healthcheck",
        "OnBuild",
        "Shell",
    ];
    let mut config = ContainerConfig::default();
    field.each(KEYS, "v1.DockerOCIImageConfig", |key, field| {
        match key {
            "User" => config.user = field.string()?,
            "ExposedPorts" => config.exposed_ports = field.set()?,
            "Env" => config.env = field.strings()?,
            "Entrypoint" => config.entrypoint = field.strings()?,
            "Cmd" => config.cmd = field.strings()?,
            "Volumes" => config.volumes = field.set()?,
            "WorkingDir" => config.working_dir = field.string()?,
            "Labels" => config.labels = field.map()?,
            "StopSignal" => config.stop_signal = field.string()?,
            "ArgsEscaped" => config.args_escaped = field.boolean()?,
            "Healthcheck" => config.healthcheck = healthcheck(field)?,
            "OnBuild" => config.on_build = field.strings()?,
            _ => config.shell = field.strings()?,
        }
        Ok(())
    })?;
    Ok(config)
}

fn healthcheck(field: Field<'_>) -> Result<Option<Healthcheck>> {
    const KEYS: &[&str] = &["Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"];
    if matches!(field.value, Json::Null) {
        return Ok(None);
    }
    let mut check = Healthcheck::default();
    field.each(KEYS, "v1.HealthcheckConfig", |key, field| {
        match key {
            "Test" => check.test = field.strings()?,
            "Interval" => check.interval = field.integer("time.Duration")?,
            "Timeout" => check.timeout = field.integer("time.Duration")?,
            "StartPeriod" => check.start_period = field.integer("time.Duration")?,
            "StartInterval" => check.start_interval = field.integer("time.Duration")?,
            _ => check.retries = field.integer("int")?,
        }
        Ok(())
    })?;
    Ok(Some(check))
}

impl<'a> Field<'a> {
    /// Visits the known fields of an object under their proper names, in the order of the text.
    fn each(
        &self,
        keys: &'static [&'static str],
        wanted: &'static str,
        mut visit: impl FnMut(&'static str, Field<'_>) -> Result<()>,
    ) -> Result<()> {
        for (name, value) in self.object(wanted)? {
            let exact = keys.iter().find(|key| *key == name);
            let Some(key) = exact.or_else(|| keys.iter().find(|key| key.eq_ignore_ascii_case(name))) else { continue };
            visit(key, Field { value, path: Path::Field(&self.path, key) })?;
        }
        Ok(())
    }

    fn object(&self, wanted: &'static str) -> Result<&'a [(Cow<'a, str>, Json<'a>)]> {
        match self.value {
            Json::Null => Ok(&[]),
            Json::Object(members) => Ok(members),
            _ => Err(self.wrong(wanted)),
        }
    }

    fn list<T>(&self, wanted: &'static str, read: impl Fn(Field<'_>) -> Result<T>) -> Result<Option<Vec<T>>> {
        match self.value {
            Json::Null => Ok(None),
            Json::Array(items) => {
                items.iter().map(|value| read(Field { value, path: self.path })).collect::<Result<_>>().map(Some)
            }
            _ => Err(self.wrong(wanted)),
        }
    }

    fn string(&self) -> Result<String> {
        match self.value {
            Json::Null => Ok(String::new()),
            Json::String(text) => Ok(text.clone().into_owned()),
            _ => Err(self.wrong("string")),
        }
    }

    fn strings(&self) -> Result<Vec<String>> {
        Ok(self.list("[]string", |field| field.string())?.unwrap_or_default())
    }

    fn boolean(&self) -> Result<bool> {
        match self.value {
            Json::Null => Ok(false),
            Json::Bool(value) => Ok(*value),
            _ => Err(self.wrong("bool")),
        }
    }

    fn integer(&self, wanted: &'static str) -> Result<i64> {
        match self.value {
            Json::Null => Ok(0),
            Json::Number(number) => number.as_i64().ok_or_else(|| self.wrong(wanted)),
            _ => Err(self.wrong(wanted)),
        }
    }

    fn map(&self) -> Result<BTreeMap<String, String>> {
        let members = self.object("map[string]string")?.iter();
        members.map(|(key, value)| Ok((key.to_string(), Field { value, path: self.path }.string()?))).collect()
    }

    fn set(&self) -> Result<BTreeSet<String>> {
        let members = self.object("map[string]struct {}")?.iter();
        members
            .map(|(key, value)| {
                Field { value, path: self.path }.object("struct {}")?;
                Ok(key.to_string())
            })
            .collect()
    }

    fn time(&self) -> Result<Option<Time>> {
        match self.value {
            Json::Null => Ok(None),
            Json::String(text) => Time::parse(text).map(Some).map_err(|error| ConfigError::Value(error.to_string())),
            _ => Err(ConfigError::Value("Time.UnmarshalJSON: input is not a JSON string".to_owned())),
        }
    }

    /// Stricter than BuildKit, which fails on a malformed digest only when the layer is looked up.
    fn digest(&self) -> Result<Digest> {
        let text = self.string()?;
        Digest::parse(&text).map_err(|error| ConfigError::Value(format!("{}: {error}: {text}", self.path)))
    }

    fn wrong(&self, wanted: &'static str) -> ConfigError {
        let found = match self.value {
            Json::Null => "null".to_owned(),
            Json::Bool(_) => "bool".to_owned(),
            Json::Number(number) if matches!(wanted, "int" | "time.Duration") => format!("number {number}"),
            Json::Number(_) => "number".to_owned(),
            Json::String(_) => "string".to_owned(),
            Json::Array(_) => "array".to_owned(),
            Json::Object(_) => "object".to_owned(),
        };
        ConfigError::Type { found, field: self.path.to_string(), wanted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes back out, or the error.
    fn check(json: &str, expected: &str) {
        let actual = match ImageConfig::from_json(json.as_bytes()) {
            Ok(image) => String::from_utf8(image.to_json()).unwrap(),
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected, "{json}");
    }

    const NOTHING: &str = r#"{"architecture":"","os":"","rootfs":{"type":"","diff_ids":null},"config":{}}"#;

    #[test]
    fn nothing_is_enough() {
        check("{}", NOTHING);
        check("null", NOTHING);
        check(r#"{"created": null, "rootfs": null, "config": {"Env": null, "Healthcheck": null}, "x": [1]}"#, NOTHING);
    }

    #[test]
    fn keys_match_in_any_case() {
        check(
            r#"{"OS": "linux", "Config": {"env": ["A=1"], "workingdir": "/w"}}"#,
            r#"{"architecture":"","os":"linux","rootfs":{"type":"","diff_ids":null},"config":{"Env":["A=1"],"WorkingDir":"/w"}}"#,
        );
    }

    #[test]
    fn unset_and_empty_layers_differ() {
        check(
            r#"{"rootfs": {"type": "layers", "diff_ids": []}}"#,
            r#"{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]},"config":{}}"#,
        );
    }

    #[test]
    fn wrong_types_in_go_words() {
        let field = "json: cannot unmarshal";
        check(
            r#"{"config": {"Env": "not-a-list"}}"#,
            &format!("{field} string into Go struct field DockerOCIImage.config.Env of type []string"),
        );
        check(
            r#"{"config": {"Env": [1]}}"#,
            &format!("{field} number into Go struct field DockerOCIImage.config.Env of type string"),
        );
        check(
            r#"{"config": {"Healthcheck": {"Retries": 1.5}}}"#,
            &format!("{field} number 1.5 into Go struct field DockerOCIImage.config.Healthcheck.Retries of type int"),
        );
        check("[]", &format!("{field} array into Go value of type v1.DockerOCIImage"));
    }
}
