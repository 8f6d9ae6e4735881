//! The predicate as JSON.

use std::collections::BTreeMap;

use oci::Time;
use serde_json::{Map, Value, json};

use super::{Layers, OPTION, Provenance, Version, config};
use crate::{Result, url};

/// What kind of build it is, in predicates of version 1.
const BUILD_TYPE: &str = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";
/// The same in those of version 0.2.
const BUILD_TYPE_02: &str = "https://mobyproject.org/buildkit@v1";
/// The version of BuildKit's behaviour that images are made by.
const COMPATIBILITY: u32 = 30;
/// Options that say something of the machine, and not of the build.
const OF_HOST: [&str; 4] = ["cgroup-parent", "image-resolve-mode", "platform", "cache-imports"];

type Object = Map<String, Value>;

/// All parts, which both versions put together.
struct Parts {
    config: Object,
    request: Object,
    internal: Object,
    materials: Vec<Value>,
    metadata: Object,
    hermetic: bool,
    request_complete: bool,
    materials_complete: bool,
}

/// **Errors**: names of images that are none.
pub(super) fn of(provenance: &Provenance, finished: Time, layers: &Layers) -> Result<Value> {
    let attrs = &provenance.asked.attrs;
    let parts = parts(provenance, layers)?;
    Ok(match attrs.version {
        Version::V1 => parts.version_1(provenance, finished),
        Version::V02 => parts.version_02(provenance, finished),
    })
}

fn parts(provenance: &Provenance, layers: &Layers) -> Result<Parts> {
    let Provenance { asked, capture, steps, builder, environment, .. } = provenance;
    let mut args = filtered(&asked.opts);
    let config = config::source(&mut args, capture);
    let vcs = versions(&mut args);
    let mut request_complete = !asked.frontend.is_empty();
    if !asked.attrs.max {
        let count = args.len();
        args.retain(|key, _| !key.starts_with("build-arg:") && !key.starts_with("label:"));
        request_complete &= args.len() == count;
    }
    let mut request = Object::new();
    put(&mut request, "frontend", asked.frontend.as_str());
    put(&mut request, "args", json!(args));
    if asked.attrs.max {
        put(&mut request, "secrets", ids(&capture.secrets));
        put(&mut request, "ssh", ids(&capture.ssh));
    }
    let locals: Vec<Value> = capture.locals.iter().map(|name| json!({ "name": name })).collect();
    put(&mut request, "locals", locals);
    request.insert("compatibilityVersion".into(), COMPATIBILITY.into());
    let mut internal = environment.clone();
    let mut metadata = Object::new();
    put(&mut metadata, "vcs", json!(vcs));
    if let Some(steps) = steps {
        let mut build = Object::new();
        put(&mut build, "llbDefinition", steps.definition.iter().map(without_logins).collect::<Vec<_>>());
        put(&mut build, "digestMapping", json!(steps.digests));
        internal.insert("buildConfig".into(), build.into());
        if let Some(source) = &steps.source {
            metadata.insert("source".into(), source.clone());
        }
        put(&mut metadata, "layers", json!(layers));
    }
    internal.insert("builderPlatform".into(), builder.to_string().into());
    internal.insert("llbcVersion".into(), env!("CARGO_PKG_VERSION").into());
    let materials_complete = !capture.is_incomplete && capture.locals.is_empty();
    Ok(Parts {
        config,
        request,
        internal,
        materials: capture.materials()?,
        metadata,
        hermetic: materials_complete && !capture.network,
        request_complete,
        materials_complete,
    })
}

impl Parts {
    fn version_1(self, provenance: &Provenance, finished: Time) -> Value {
        let attrs = &provenance.asked.attrs;
        let mut definition = Object::new();
        definition.insert("buildType".into(), BUILD_TYPE.into());
        put(&mut definition, "resolvedDependencies", self.materials);
        definition.insert("externalParameters".into(), json!({ "configSource": self.config, "request": self.request }));
        definition.insert("internalParameters".into(), self.internal.into());
        let mut metadata = Object::new();
        metadata.insert("invocationId".into(), provenance.invocation.clone().into());
        metadata.insert("startedOn".into(), json!(provenance.started));
        metadata.insert("finishedOn".into(), json!(finished));
        metadata.insert("buildkit_metadata".into(), self.metadata.into());
        put(&mut metadata, "buildkit_hermetic", self.hermetic);
        metadata.insert(
            "buildkit_completeness".into(),
            json!({ "request": self.request_complete, "resolvedDependencies": self.materials_complete }),
        );
        put(&mut metadata, "buildkit_reproducible", attrs.reproducible);
        json!({
            "buildDefinition": definition,
            "runDetails": { "builder": { "id": attrs.builder_id }, "metadata": metadata },
        })
    }

    fn version_02(mut self, provenance: &Provenance, finished: Time) -> Value {
        let attrs = &provenance.asked.attrs;
        let mut predicate = Object::new();
        predicate.insert("builder".into(), json!({ "id": attrs.builder_id }));
        predicate.insert("buildType".into(), BUILD_TYPE_02.into());
        put(&mut predicate, "materials", self.materials);
        if let Some(path) = self.config.remove("path") {
            self.config.insert("entryPoint".into(), path);
        }
        let build = self.internal.remove("buildConfig");
        if let Some(platform) = self.internal.remove("builderPlatform") {
            self.internal.insert("platform".into(), platform);
        }
        predicate.insert(
            "invocation".into(),
            json!({ "configSource": self.config, "parameters": self.request, "environment": self.internal }),
        );
        predicate.extend(build.map(|build| ("buildConfig".to_owned(), build)));
        let mut metadata = Object::new();
        metadata.insert("buildInvocationID".into(), provenance.invocation.clone().into());
        metadata.insert("buildStartedOn".into(), json!(provenance.started));
        metadata.insert("buildFinishedOn".into(), json!(finished));
        metadata.insert(
            "completeness".into(),
            json!({ "parameters": self.request_complete, "environment": true, "materials": self.materials_complete }),
        );
        metadata.insert("reproducible".into(), attrs.reproducible.into());
        metadata.insert(format!("{BUILD_TYPE_02}#metadata"), self.metadata.into());
        put(&mut metadata, &format!("{BUILD_TYPE_02}#hermetic"), self.hermetic);
        predicate.insert("metadata".into(), metadata.into());
        predicate.into()
    }
}

/// Adds what is not empty.
fn put(to: &mut Object, key: &str, value: impl Into<Value>) {
    let value = value.into();
    let is_empty = match &value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    if !is_empty {
        to.insert(key.to_owned(), value);
    }
}

/// Options without those of the machine, and without what nobody else must know.
fn filtered(opts: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let kept = opts.iter().filter(|(key, _)| !OF_HOST.contains(&key.as_str()) && !key.starts_with(OPTION));
    kept.map(|(key, value)| (key.clone(), url::redact_login(value).into_owned())).collect()
}

/// Takes what is said of the repository that the build is in out of the options.
fn versions(args: &mut BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    args.retain(|key, value| match key.strip_prefix("vcs:") {
        Some(key) => {
            found.insert(key.to_owned(), std::mem::take(value));
            false
        }
        None => true,
    });
    found.retain(|_, value: &mut String| !value.is_empty());
    found
}

/// A step whose source tells nobody who may read it.
fn without_logins(step: &Value) -> Value {
    let mut step = step.clone();
    if let Some(source) = step.pointer_mut("/op/Op/source").and_then(Value::as_object_mut) {
        let attrs = source.remove("attrs");
        mask(source);
        if let Some(Value::Object(mut attrs)) = attrs {
            mask(&mut attrs);
            source.insert("attrs".into(), attrs.into());
        }
    }
    step
}

fn mask(texts: &mut Object) {
    for text in texts.values_mut() {
        if let Value::String(text) = text {
            *text = url::redact_login(text).into_owned();
        }
    }
}

fn ids(found: &BTreeMap<String, bool>) -> Vec<Value> {
    let one = |(id, is_optional): (&String, &bool)| {
        let mut one = Object::from_iter([("id".to_owned(), id.as_str().into())]);
        put(&mut one, "optional", *is_optional);
        one.into()
    };
    found.iter().map(one).collect()
}
