//! What an image has beside a stage: files that are put in last, and what its containers are told.

use ast::{Healthcheck, Op, OptKind};

use super::super::model::{self, Command, File, Image};
use super::super::read::Text;
use super::super::text::literal;
use super::super::when;
use super::Lowering;
use super::copy::How;
use crate::dockerfile::number;

impl<'s> Lowering<'_, 's> {
    /// Files, each a layer that depends on nothing below it.
    pub(super) fn files(&mut self, image: &'s Image) {
        for file in image.file.iter().flatten() {
            self.file(file);
        }
    }

    fn file(&mut self, file: &'s File) {
        let (Some(from), Some(to)) = (&file.from, &file.to) else {
            return self.error("the file has no `from` or no `to`", file.span, "say both");
        };
        let when = file.when.as_ref().and_then(|text| when::parse(text, &mut self.names, self.reader));
        let how = How {
            owner: file.owner.as_ref(),
            mode: file.mode.as_ref(),
            link: true,
            opts: when.map(OptKind::When).into_iter().collect(),
            span: file.span,
            ..How::default()
        };
        let to = self.template(to);
        self.copy_part(from, file.path.as_ref(), &to, &how);
    }

    pub(super) fn config(&mut self, image: &'s Image) {
        if let Some(ports) = &image.expose {
            let mut ports: Vec<_> = ports.iter().map(|port| self.names.template(&port.0, self.reader)).collect();
            ports.sort_by(|a, b| a.raw().cmp(b.raw()));
            self.push(Op::Expose(ports), Vec::new(), image.span);
        }
        if let Some(volumes) = &image.volumes {
            let volumes = volumes.iter().map(|volume| self.names.template(volume, self.reader)).collect();
            self.push(Op::Volume(volumes), Vec::new(), image.span);
        }
        if let Some(signal) = &image.stop_signal {
            let value = self.template(signal);
            self.push(Op::StopSignal(value), Vec::new(), signal.span);
        }
        if let Some(author) = &image.author {
            let value = literal(&author.value, author.span);
            self.push(Op::Maintainer(value), Vec::new(), author.span);
        }
        for trigger in image.on_build.iter().flatten() {
            self.trigger(trigger);
        }
        if let Some(check) = &image.healthcheck {
            self.healthcheck(check);
        }
        if let Some(command) = &image.entrypoint {
            let command = self.command(command);
            self.push(Op::Entrypoint(command), Vec::new(), image.span);
        }
        if let Some(command) = &image.cmd {
            let command = self.command(command);
            self.push(Op::Cmd(command), Vec::new(), image.span);
        }
    }

    fn trigger(&mut self, trigger: &Text) {
        match crate::dockerfile::kept(&trigger.value, trigger.span) {
            Ok(op) => self.push(op, Vec::new(), trigger.span),
            Err(wrong) => self.error(wrong.message, trigger.span, "say one instruction of a Dockerfile: RUN make"),
        }
    }

    fn healthcheck(&mut self, check: &'s model::Healthcheck) {
        let is_off = check.disable.is_some_and(|disable| disable.value);
        let test: Vec<&str> = match &check.cmd {
            Some(_) if is_off => {
                return self.error(
                    "the health check is disabled, and has a command",
                    check.span,
                    "leave one of them out",
                );
            }
            None if is_off => vec!["NONE"],
            Some(Command::Shell(line)) => vec!["CMD-SHELL", &line.value],
            Some(Command::Exec(args)) => {
                std::iter::once("CMD").chain(args.iter().map(|arg| arg.value.as_str())).collect()
            }
            None => return self.error("the health check has no command", check.span, "say cmd = [\"/bin/check\"]"),
        };
        let check = Healthcheck {
            test: test.into_iter().map(ast::Text::from).collect(),
            interval: self.duration(check.interval.as_ref()),
            timeout: self.duration(check.timeout.as_ref()),
            start_period: self.duration(check.start_period.as_ref()),
            start_interval: self.duration(check.start_interval.as_ref()),
            retries: check.retries.map_or(0, |retries| retries.value),
        };
        let span = self
            .spec
            .images()
            .iter()
            .find_map(|(_, image)| image.healthcheck.as_ref())
            .map_or_else(Default::default, |check| check.span);
        self.push(Op::Healthcheck(check), Vec::new(), span);
    }

    fn duration(&mut self, text: Option<&Text>) -> i64 {
        let Some(text) = text else { return 0 };
        match number::duration(&text.value) {
            Ok(value) if value == 0 || value >= 1_000_000 => value,
            Ok(_) => {
                self.error("a duration cannot be less than 1ms", text.span, "write it as 500ms, 30s, 1m30s");
                0
            }
            Err(_) => {
                self.error("not a duration", text.span, "write it as 500ms, 30s, 1m30s");
                0
            }
        }
    }
}
