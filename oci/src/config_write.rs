//! Writing image configs the way Go's encoder writes `DockerOCIImage`: fields in the order of Go's, and without those that
//! Go leaves out.

use std::collections::BTreeSet;

use crate::config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
use crate::json::{Object, RawObject, push_list};
use crate::{Platform, Time};

impl ImageConfig {
    /// The exact bytes BuildKit's frontend exports.
    pub fn to_json(&self) -> Vec<u8> {
        self.written(self.history.iter())
    }

    /// The same with a history that is kept elsewhere, in place of its own.
    pub fn to_json_with(&self, history: &[&History]) -> Vec<u8> {
        self.written(history.iter().copied())
    }

    fn written<'h>(&self, history: impl ExactSizeIterator<Item = &'h History>) -> Vec<u8> {
        let mut out = Vec::with_capacity(TYPICAL + history.len() * TYPICAL_ENTRY);
        Object::write(&mut out, |object| {
            time(object, "created", self.created);
            object.some_text("author", &self.author);
            platform(object, &self.platform);
            object.object("rootfs", |object| root_fs(object, &self.rootfs));
            if history.len() > 0 {
                object.objects("history", history, entry_of);
            }
            object.object("config", |object| container(object, &self.config));
        });
        out
    }
}

impl RawObject {
    /// Sets the history of a config.
    pub fn set_history(&mut self, history: &[History]) {
        let mut out = Vec::with_capacity(history.len() * TYPICAL_ENTRY);
        push_list(&mut out, history.iter(), |out, entry| Object::write(out, |object| entry_of(object, entry)));
        self.set_json("history", out);
    }

    /// Sets the layers of a config.
    pub fn set_rootfs(&mut self, rootfs: &RootFs) {
        let mut out = Vec::new();
        Object::write(&mut out, |object| root_fs(object, rootfs));
        self.set_json("rootfs", out);
    }
}

/// Bytes of most configs without history.
const TYPICAL: usize = 1024;

/// Bytes of most entries of a history.
const TYPICAL_ENTRY: usize = 256;

fn platform(object: &mut Object<'_>, platform: &Platform) {
    object.text("architecture", &platform.architecture);
    object.text("os", &platform.os);
    object.some_text("os.version", &platform.os_version);
    object.some_texts("os.features", &platform.os_features);
    object.some_text("variant", &platform.variant);
}

fn root_fs(object: &mut Object<'_>, root_fs: &RootFs) {
    object.text("type", &root_fs.kind);
    match &root_fs.diff_ids {
        Some(ids) => object.texts("diff_ids", ids.iter().map(|id| id.as_str())),
        None => object.null("diff_ids"),
    }
}

fn entry_of(object: &mut Object<'_>, entry: &History) {
    time(object, "created", entry.created);
    object.some_text("created_by", &entry.created_by);
    object.some_text("author", &entry.author);
    object.some_text("comment", &entry.comment);
    object.set_flag("empty_layer", entry.empty_layer);
}

fn container(object: &mut Object<'_>, config: &ContainerConfig) {
    object.some_text("User", &config.user);
    set(object, "ExposedPorts", &config.exposed_ports);
    object.some_texts("Env", &config.env);
    object.some_texts("Entrypoint", &config.entrypoint);
    object.some_texts("Cmd", &config.cmd);
    set(object, "Volumes", &config.volumes);
    object.some_text("WorkingDir", &config.working_dir);
    if !config.labels.is_empty() {
        object.object("Labels", |labels| config.labels.iter().for_each(|(key, value)| labels.foreign_text(key, value)));
    }
    object.some_text("StopSignal", &config.stop_signal);
    object.set_flag("ArgsEscaped", config.args_escaped);
    if let Some(check) = &config.healthcheck {
        object.object("Healthcheck", |object| healthcheck(object, check));
    }
    object.some_texts("OnBuild", &config.on_build);
    object.some_texts("Shell", &config.shell);
}

fn healthcheck(object: &mut Object<'_>, check: &Healthcheck) {
    object.some_texts("Test", &check.test);
    object.some_number("Interval", check.interval);
    object.some_number("Timeout", check.timeout);
    object.some_number("StartPeriod", check.start_period);
    object.some_number("StartInterval", check.start_interval);
    object.some_number("Retries", check.retries);
}

fn time(object: &mut Object<'_>, key: &'static str, time: Option<Time>) {
    if let Some(time) = time {
        object.text(key, &time.to_string());
    }
}

/// Go's `map[string]struct{}`.
fn set(object: &mut Object<'_>, key: &'static str, names: &BTreeSet<String>) {
    if !names.is_empty() {
        object.object(key, |object| names.iter().for_each(|name| object.foreign_mark(name)));
    }
}
