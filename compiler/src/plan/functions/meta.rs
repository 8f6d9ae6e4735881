//! Environment, working directory, user, and the config of the image.

use ast::builtin::Builtin;

use super::super::go;
use super::super::stop::Done;
use super::Evaluator;
use super::call::Application;
use super::value::Value;

/// What the history says of labels.
const LABEL: &str = "LABEL";

impl Evaluator<'_> {
    pub(super) fn meta(&mut self, call: &Application<'_>, value: Value) -> Done<Value> {
        let mut fs = value.fs()?;
        match call.row.builtin {
            Builtin::Env => {
                let (key, value) = (call.text(0)?, call.text(1)?);
                fs.set_env(&key, &value);
                fs.image().config.env.push(format!("{key}={value}"));
            }
            Builtin::Dir => {
                let path = call.text(0)?;
                let inside = || go::join(&go::join("/", &fs.image.config.working_dir), &path);
                let dir = if path.starts_with('/') { path.clone() } else { inside() };
                fs.cwd.clone_from(&dir);
                fs.image().config.working_dir.clone_from(&dir);
                fs.commit(true, format!("WORKDIR {dir}"));
            }
            Builtin::User => {
                let name = call.text(0)?;
                fs.user.clone_from(&name);
                fs.image().config.user.clone_from(&name);
                fs.commit(true, format!("USER {name}"));
            }
            Builtin::Entrypoint => {
                let args = call.texts(0)?;
                let shown: Vec<String> = args.iter().map(|arg| ast::quote(arg.as_bytes())).collect();
                fs.image().config.entrypoint = args;
                fs.commit(true, format!("ENTRYPOINT [{}]", shown.join(" ")));
            }
            Builtin::Cmd => fs.image().config.cmd = call.texts(0)?,
            Builtin::Label => {
                let (key, value) = (call.text(0)?, call.text(1)?);
                fs.image().config.labels.insert(key.clone(), value.clone());
                // Labels that follow one another are one entry.
                match fs.image().history.last_mut().filter(|entry| entry.created_by.starts_with(LABEL)) {
                    Some(entry) => entry.created_by += &format!(" {key}={value}"),
                    None => fs.commit(true, format!("{LABEL} {key}={value}")),
                }
            }
            Builtin::Expose => fs.image().config.exposed_ports.extend(call.texts(0)?),
            Builtin::Volumes => fs.image().config.volumes.extend(call.texts(0)?),
            Builtin::StopSignal => fs.image().config.stop_signal = call.text(0)?,
            _ => {}
        }
        Ok(Value::Fs(fs))
    }
}
