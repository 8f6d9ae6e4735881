//! Steps as statements of a program.

use ast::{Command, Copy, Document, Mount, Op, OptKind, Span, Step, Str};

use super::words::{Template, string};
use super::{Function, Printer};

impl Printer<'_> {
    /// The statements of a step.
    pub(super) fn step(&mut self, function: &mut Function, step: &Step) {
        match &step.op {
            Op::Run(command) => self.run(function, step, command),
            Op::Copy(copy) => self.copy(function, step, copy, false),
            Op::Add(copy) => self.copy(function, step, copy, true),
            Op::Dir(path) => {
                let path = self.text(path, &function.scope);
                let Some(path) = function.scope.inside(&path) else {
                    return self.unsaid(step.span, "a working directory in one that a base may have set");
                };
                function.scope.dir = Some(path.clone());
                if path.constant().as_deref() != Some("/") {
                    let owner = function.scope.user.iter().map(|user| format!("chown {}", user.print()));
                    let options: Vec<String> = std::iter::once("createParents".to_owned()).chain(owner).collect();
                    function.statements.push(format!("mkdir {} 0o755{}", path.print(), with(&options)));
                }
                function.statements.push(format!("dir {}", path.print()));
            }
            Op::Env(pairs) => {
                let values: Vec<_> = pairs.iter().map(|pair| self.text(&pair.value, &function.scope)).collect();
                for (pair, value) in pairs.iter().zip(values) {
                    let Some(key) = self.text(&pair.key, &function.scope).constant() else {
                        self.unsaid(pair.key.span, "a name with an argument in it");
                        continue;
                    };
                    function.statements.push(format!("env {} {}", string(&key), value.print()));
                    function.scope.args.retain(|arg| *arg != key);
                    function.scope.values.insert(key, value);
                }
            }
            Op::Label(pairs) => {
                for pair in pairs {
                    let (key, value) = (self.text(&pair.key, &function.scope), self.text(&pair.value, &function.scope));
                    function.statements.push(format!("label {} {}", key.print(), value.print()));
                }
            }
            Op::User(name) => {
                let name = self.text(name, &function.scope);
                function.statements.push(format!("user {}", name.print()));
                let is_nobody = name.constant().is_some_and(|name| name.is_empty());
                function.scope.user = (!is_nobody).then_some(name);
            }
            Op::Cmd(command) => self.told(function, "cmd", command),
            Op::Entrypoint(command) => self.told(function, "entrypoint", command),
            Op::Expose(ports) => {
                let ports: Vec<_> = ports.iter().map(|value| self.text(value, &function.scope)).collect();
                let ports = ports.iter().flat_map(ports_of);
                function.statements.push(statement("expose", ports));
            }
            Op::Volume(paths) => self.list(function, "volumes", paths),
            Op::StopSignal(signal) => {
                let signal = self.text(signal, &function.scope);
                function.statements.push(format!("stopSignal {}", signal.print()));
            }
            Op::Mkdir(path) => {
                let path = self.text(path, &function.scope);
                let (options, mode) = self.made(function, step, 0o777);
                let mode = mode.unwrap_or_else(|| "0o755".to_owned());
                let options = [vec!["createParents".to_owned()], options].concat();
                function.statements.push(format!("mkdir {} {mode}{}", path.print(), with(&options)));
            }
            Op::Remove(paths) => {
                let [path] = &paths[..] else { return self.unsaid(step.span, "several removals at once") };
                let path = self.text(path, &function.scope);
                let statement =
                    format!("rm {}{}", path.print(), with(&["allowNotFound".into(), "allowWildcard".into()]));
                function.statements.push(statement);
            }
            Op::Shell(_) => self.unsaid(step.span, "the shell of an image"),
            Op::Healthcheck(_) => self.unsaid(step.span, "a health check"),
            Op::Maintainer(_) => self.unsaid(step.span, "a maintainer: a label says it"),
            Op::OnBuild(_) => self.unsaid(step.span, "instructions that are kept for images built on this one"),
            Op::Call(_) | Op::Value(_) | Op::Hole | Op::From(_) | Op::Arg(_) => {
                self.unsaid(step.span, "what could not be read");
            }
        }
        if step.opts.iter().any(|opt| matches!(opt.kind, OptKind::When(_))) {
            self.unsaid(step.span, "a condition");
        }
    }

    fn told(&mut self, function: &mut Function, name: &str, command: &Command) {
        let args: Vec<String> = command.args.iter().map(|arg| arg.lossy().into_owned()).collect();
        let shell = ["/bin/sh".to_owned(), "-c".to_owned(), args.join(" ")];
        let args = if command.shell { shell.to_vec() } else { args };
        function.statements.push(statement(name, args.iter().map(|arg| string(arg))));
    }

    fn list(&mut self, function: &mut Function, name: &str, values: &[Str]) {
        let values: Vec<String> = values.iter().map(|value| self.text(value, &function.scope).print()).collect();
        function.statements.push(statement(name, values.into_iter()));
    }

    fn run(&mut self, function: &mut Function, step: &Step, command: &Command) {
        let args: Vec<String> = match (&command.documents[..], command.shell) {
            ([], true) => vec![command.args.iter().map(|arg| arg.lossy()).collect::<Vec<_>>().join(" ")],
            ([], false) => command.args.iter().map(|arg| arg.lossy().into_owned()).collect(),
            ([document], true) if is_script(command, document) => {
                vec![String::from_utf8_lossy(&document.chomped()).into_owned()]
            }
            (documents, true) => vec![crate::dockerfile::print::with_documents(command, documents)],
            _ => return self.unsaid(step.span, "a document that a program reads"),
        };
        let mut options: Vec<String> = Vec::new();
        let seen = function.scope.args.iter();
        options.extend(seen.map(|arg| format!("env {} {}", string(arg), function.scope.values[arg].print())));
        if let ([program], false) = (&args[..], command.shell) {
            if program.contains(|c: char| !c.is_ascii_alphanumeric() && !"/._-".contains(c)) {
                return self.unsaid(step.span, "one argument that is a program, and has signs that mean something");
            }
            options.push("shlex".to_owned());
        }
        for opt in &step.opts {
            match &opt.kind {
                OptKind::Mount(mount) => options.extend(self.mount(function, step, mount)),
                OptKind::Network(mode) => match &*mode.raw().lossy() {
                    "default" => {}
                    mode => options.push(format!("network {}", string(mode))),
                },
                OptKind::Security(mode) => options.push(format!("security {}", string(&mode.raw().lossy()))),
                OptKind::Env(pairs) => {
                    for pair in pairs {
                        let value = self.text(&pair.value, &function.scope);
                        options.push(format!("env {} {}", string(&pair.key.raw().lossy()), value.print()));
                    }
                }
                OptKind::Dir(dir) => options.push(format!("dir {}", self.text(dir, &function.scope).print())),
                OptKind::User(user) => options.push(format!("user {}", self.text(user, &function.scope).print())),
                OptKind::When(_) | OptKind::Exported => {}
                _ => self.unsaid(opt.span, "an option of a process"),
            }
        }
        function.statements.push(statement("run", args.iter().map(|arg| string(arg))) + &with(&options));
    }

    fn mount(&mut self, function: &mut Function, step: &Step, mount: &Mount) -> Option<String> {
        let scope = function.scope.clone();
        let mut get = |names: &[&str]| {
            let field = mount.fields.iter().rev().find(|field| names.contains(&&*field.key.to_ascii_lowercase()))?;
            Some(field.value.as_ref().map_or_else(|| Template::text("true"), |value| self.text(value, &scope)))
        };
        let kind = get(&["type"]).and_then(|kind| kind.constant()).unwrap_or_else(|| "bind".to_owned());
        let target = get(&["target", "dst", "destination"]);
        let (id, sharing) = (get(&["id"]), get(&["sharing"]));
        let (from, source) = (get(&["from"]), get(&["source", "src"]));
        let is_on = |value: Template| value.constant().is_none_or(|value| !is_off(&value));
        let is_writable = match (get(&["rw", "readwrite"]), get(&["ro", "readonly"])) {
            (Some(writable), _) => is_on(writable),
            (None, readonly) => readonly.is_some_and(|readonly| !is_on(readonly)),
        };
        let known: &[&str] = match kind.as_str() {
            "cache" => &["type", "target", "dst", "destination", "id", "sharing"],
            "tmpfs" => &["type", "target", "dst", "destination"],
            "bind" => {
                &["type", "target", "dst", "destination", "from", "source", "src", "ro", "readonly", "rw", "readwrite"]
            }
            _ => {
                self.unsaid(
                    step.span,
                    "a secret or an agent that whoever builds names: a program names files of the client",
                );
                return None;
            }
        };
        // Without a place it is the working directory.
        let target = target.unwrap_or_else(|| Template::text("."));
        if mount.fields.iter().any(|field| !known.contains(&&*field.key.to_ascii_lowercase())) {
            self.unsaid(step.span, "a field of a mount");
            return None;
        }
        let Some(target) = function.scope.inside(&target) else {
            self.unsaid(step.span, "a mount in a directory that a base may have set");
            return None;
        };
        let at = target.print();
        Some(match kind.as_str() {
            "tmpfs" => format!("mount scratch {at} with tmpfs"),
            "cache" => {
                // The names of caches begin with their namespace, which is nothing.
                let id = id.unwrap_or_else(|| cleaned(&target)).after("/");
                let sharing = sharing.map_or_else(|| Template::text("shared"), |sharing| sharing.lower());
                format!("mount scratch {at} with cache({}, {})", id.print(), sharing.print())
            }
            _ => {
                let from = self.origin(function, from.map(|from| from.constant().unwrap_or_default()), step.span);
                let path =
                    source.filter(|source| source.constant().is_none_or(|path| !matches!(&*path, "." | "/" | "")));
                let mut options: Vec<String> = (!is_writable).then(|| "readonly".to_owned()).into_iter().collect();
                options.extend(path.map(|path| format!("sourcePath {}", cleaned(&rooted(&path)).print())));
                format!("mount {from} {at}{}", with_inline(&options))
            }
        })
    }

    /// Where something is copied from, as a value.
    fn origin(&mut self, function: &mut Function, from: Option<String>, span: Span) -> String {
        let Some(from) = from else { return "context".to_owned() };
        match self.earlier(&from) {
            Some(at) => self.used(at, function, span).value(),
            None if from == "scratch" => from,
            None => format!("image({})", string(&from)),
        }
    }

    fn copy(&mut self, function: &mut Function, step: &Step, copy: &Copy, is_add: bool) {
        let dest = self.text(&copy.dest, &function.scope);
        // Without a directory that is known, a path is left as it is: what it means is compared.
        let dest = function.scope.beneath(&dest).unwrap_or(dest);
        let from = step.opts.iter().find_map(|opt| if let OptKind::From(from) = &opt.kind { Some(from) } else { None });
        let from = match from.map(|from| self.text(from, &function.scope).constant()) {
            Some(None) => return self.unsaid(step.span, "a stage that depends on an argument"),
            from => from.flatten(),
        };
        let (mut options, mode) = self.made(function, step, 0o7777);
        let has_mode = mode.is_some();
        options.extend(mode.map(|mode| format!("chmod {mode}")));
        for opt in &step.opts {
            match &opt.kind {
                OptKind::Exclude(pattern) => {
                    options.push(format!("excludePatterns {}", self.text(pattern, &function.scope).print()));
                }
                OptKind::Include(pattern) => {
                    options.push(format!("includePatterns {}", self.text(pattern, &function.scope).print()));
                }
                // With a mode, a copy is no layer of its own: whoever reads a Dockerfile knows no other.
                OptKind::Link(true) if !has_mode => options.push("link".to_owned()),
                OptKind::Parents(true) => return self.unsaid(opt.span, "a copy with the directories above it"),
                _ => {}
            }
        }
        if copy.sources.len() + copy.documents.len() > 1 {
            // One after the other they are as many steps.
            self.unsaid(step.span, "several sources in one step");
        }
        for source in &copy.sources {
            let path = self.text(source, &function.scope);
            let has_address = path.constant().is_none_or(|path| path.contains("://") || path.starts_with("git@"));
            if is_add && has_address {
                self.remote(function, step, &path, &dest, options.clone());
                continue;
            }
            if let Some(opt) = step.opts.iter().find(|opt| matches!(opt.kind, OptKind::Checksum(_))) {
                self.unsaid(opt.span, "a checksum of files of the client");
            }
            let unpacks = is_add && !step.opts.iter().any(|opt| opt.kind == OptKind::Unpack(false));
            let own = std::iter::once("asCopy".to_owned()).chain(options.iter().cloned());
            let own: Vec<String> = own.chain(unpacks.then(|| "unpack".to_owned())).collect();
            let origin = self.origin(function, from.clone(), step.span);
            let statement = format!("copy {origin} {} {}{}", rooted(&path).print(), dest.print(), with(&own));
            function.statements.push(statement);
        }
        for document in &copy.documents {
            self.document(function, document, &dest, options.clone());
        }
    }

    /// ADD of an address: a file, or a repository.
    fn remote(
        &mut self,
        function: &mut Function,
        step: &Step,
        address: &Template,
        dest: &Template,
        options: Vec<String>,
    ) {
        let Some(address) = address.constant() else {
            return self.unsaid(step.span, "an address with an argument in it");
        };
        let (mut own, mut options) = (Vec::new(), [vec!["createDestPath".to_owned()], options].concat());
        let path = address.split(['#', '?']).next().unwrap_or_default();
        let is_web = address.starts_with("http://") || address.starts_with("https://");
        let is_file = is_web && !path.ends_with(".git");
        if !is_web && !["git://", "ssh://", "git@"].iter().any(|start| address.starts_with(start)) {
            return self.unsaid(step.span, "an address of such a kind");
        }
        for opt in &step.opts {
            match &opt.kind {
                OptKind::Checksum(sum) if is_file => {
                    own.push(format!("checksum {}", self.text(sum, &function.scope).print()));
                }
                OptKind::Checksum(_) => self.unsaid(opt.span, "the checksum of a repository"),
                OptKind::KeepGitDir(true) => own.push("keepGitDir".to_owned()),
                OptKind::Unpack(true) => options.push("unpack".to_owned()),
                _ => {}
            }
        }
        let (source, from) = if is_file {
            let name = path.splitn(4, '/').nth(3).unwrap_or_default().rsplit('/').next().unwrap_or_default();
            let name = if name.is_empty() { "__unnamed__" } else { name };
            own.push(format!("filename {}", string(name)));
            (format!("http {}", string(&address)), format!("/{name}"))
        } else {
            let (path, reference) = address.split_once('#').unwrap_or((&address, ""));
            if reference.contains(':') || path.contains('?') {
                return self.unsaid(step.span, "a directory of a repository, or what its address asks for");
            }
            (format!("git {} {}", string(path), string(reference)), "/".to_owned())
        };
        let source = format!("fs {{ {source}{}; }}", with_inline(&own));
        function.statements.push(format!("copy {source} {} {}{}", string(&from), dest.print(), with(&options)));
    }

    fn document(&mut self, function: &mut Function, document: &Document, dest: &Template, mut options: Vec<String>) {
        if document.expand && document.content.lossy().contains(['$', '\\']) {
            return self.unsaid(document.span, "a document with variables in it");
        }
        let (path, content) = (string(&format!("/{}", document.name)), document.chomped().into_owned());
        options.insert(0, "createDestPath".to_owned());
        let file = format!("fs {{ scratch; mkfile {path} 0o644 {}; }}", string(&String::from_utf8_lossy(&content)));
        function.statements.push(format!("copy {file} {path} {}{}", dest.print(), with(&options)));
    }

    /// Owner of what is made, and its mode.
    fn made(&mut self, function: &Function, step: &Step, most: i64) -> (Vec<String>, Option<String>) {
        let (mut options, mut mode) = (Vec::new(), None);
        for opt in &step.opts {
            match &opt.kind {
                OptKind::Chown(owner) => options.push(format!("chown {}", self.text(owner, &function.scope).print())),
                OptKind::Chmod(bits) => {
                    let bits = self.text(bits, &function.scope).constant().unwrap_or_default();
                    let digits = bits.trim_start_matches("0o").trim_start_matches('0');
                    match i64::from_str_radix(digits, 8) {
                        Ok(value) if value <= most => mode = Some(format!("0o{digits}")),
                        _ => self.unsaid(opt.span, "such a mode"),
                    }
                }
                _ => {}
            }
        }
        (options, mode)
    }
}

fn statement(name: &str, args: impl Iterator<Item = String>) -> String {
    std::iter::once(name.to_owned()).chain(args).collect::<Vec<_>>().join(" ")
}

/// Most ports that a range is written out as.
const MOST_PORTS: u32 = 1000;

/// Ports as an image is told them, each as a program writes it: a range is all of them, and of a mapping what is inside.
fn ports_of(port: &Template) -> Vec<String> {
    let Some(text) = port.constant() else { return vec![port.print()] };
    let (numbers, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
    let inside = numbers.rsplit(':').next().unwrap_or_default();
    let (first, last) = inside.split_once('-').unwrap_or((inside, inside));
    match (first.parse::<u32>(), last.parse::<u32>()) {
        (Ok(first), Ok(last)) if first <= last && last - first < MOST_PORTS => {
            (first..=last).map(|number| string(&format!("{number}/{}", protocol.to_lowercase()))).collect()
        }
        _ => vec![port.print()],
    }
}

/// Options behind a call.
fn with(options: &[String]) -> String {
    match options {
        [] => String::new(),
        [only] if !only.contains(' ') => format!(" with {only}"),
        several => {
            let lines: String = several.iter().map(|option| format!("\t\t{option}\n")).collect();
            format!(" with option {{\n{lines}\t}}")
        }
    }
}

/// Options behind an option, on one line.
fn with_inline(options: &[String]) -> String {
    match options {
        [] => String::new(),
        [only] if !only.contains(' ') => format!(" with {only}"),
        several => format!(" with option {{ {}; }}", several.join("; ")),
    }
}

/// A truth value that is none, as those who read Dockerfiles know them.
fn is_off(value: &str) -> bool {
    ["0", "f", "F", "false", "FALSE", "False"].contains(&value)
}

/// A path without what says nothing, as far as it is a text.
fn cleaned(path: &Template) -> Template {
    let Some(text) = path.constant() else { return path.clone() };
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if text.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    Template::text(&format!("{}{}", if text.starts_with('/') { "/" } else { "" }, parts.join("/")))
}

/// A path from the root of what it is in.
fn rooted(path: &Template) -> Template {
    match path.constant() {
        Some(text) => {
            let rest = text.trim_start_matches("./").trim_start_matches('/');
            Template::text(&format!("/{}", if rest == "." { "" } else { rest }))
        }
        None => path.after("/"),
    }
}

/// Whether a document is all there is of a command, and the shell runs it.
fn is_script(command: &Command, document: &Document) -> bool {
    let [line] = &command.args[..] else { return false };
    line.lossy().trim() == crate::dockerfile::print::opener(document) && !document.chomped().starts_with(b"#!")
}
