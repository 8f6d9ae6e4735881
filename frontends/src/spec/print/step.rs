//! Steps that do something: processes, copies, directories, removals.

use ast::{Command, Copy, Document, Mount, Op, OptKind, Step};

use super::several::Named;
use super::words::{self, string, unquoted};
use super::{Printer, Scope};

impl Printer<'_> {
    /// The lines of a step, and of those that a spec needs instead of one.
    pub(super) fn action(&mut self, step: &Step, at: usize, scope: &Scope) -> Vec<String> {
        match &step.op {
            Op::Run(command) => self.run(step, command, at, scope).into_iter().collect(),
            Op::Copy(copy) => self.copy(step, copy, at, scope),
            Op::Add(copy) => self.add(step, copy, at, scope),
            Op::Mkdir(path) => vec![format!("mkdir = {}\n{}", self.text(path, scope), self.attributes(step, scope))],
            Op::Remove(paths) => {
                let paths: Vec<String> = paths.iter().map(|path| self.text(path, scope)).collect();
                vec![format!("remove = [{}]\n", paths.join(", "))]
            }
            _ => Vec::new(),
        }
    }

    fn run(&mut self, step: &Step, command: &Command, at: usize, scope: &Scope) -> Option<String> {
        let mut text = match (&command.documents[..], command.shell) {
            ([], _) => format!("run = {}\n", words::command(command)),
            ([document], true) if is_script(command, document) => {
                format!("script = {}\n", string(&document.content.lossy()))
            }
            (documents, true) => {
                format!("run = {}\n", string(&crate::dockerfile::print::with_documents(command, documents)))
            }
            _ => {
                self.unsaid(step.span, "a document that a program reads");
                return None;
            }
        };
        let (mut lists, mut devices) = (Lists::default(), Vec::new());
        let mut env: Vec<String> = self.arguments(scope);
        for opt in &step.opts {
            match &opt.kind {
                OptKind::Mount(mount) => self.mount(step, mount, at, scope, &mut lists),
                OptKind::Network(network) => text += &format!("network = {}\n", self.text(network, scope)),
                OptKind::Env(pairs) => env.extend(self.pairs(pairs, scope)),
                OptKind::Dir(dir) => text += &format!("workdir = {}\n", self.text(dir, scope)),
                OptKind::User(user) => text += &format!("user = {}\n", self.text(user, scope)),
                OptKind::Security(mode) => text += &format!("security = {}\n", self.text(mode, scope)),
                OptKind::Device { name, required: true } => devices.push(string(name)),
                _ => self.unsaid(opt.span, "an option of a process"),
            }
        }
        if !devices.is_empty() {
            text += &format!("device = [{}]\n", devices.join(", "));
        }
        if !env.is_empty() {
            text += &format!("env = {{ {} }}\n", env.join(", "));
        }
        Some(text + &lists.text())
    }

    /// Arguments that are variables of every process after them.
    fn arguments(&mut self, scope: &Scope) -> Vec<String> {
        if !self.module.dialect.exports_args {
            return Vec::new();
        }
        let mut seen: Vec<&String> = Vec::new();
        for arg in scope.args.iter().filter(|arg| !scope.env.contains(*arg) && !scope.exported.contains(*arg)) {
            if !seen.contains(&arg) {
                seen.push(arg);
            }
        }
        seen.iter().filter_map(|arg| self.argument(arg, scope)).collect()
    }

    /// An argument as a variable of a process; nothing if it has no value.
    pub(super) fn argument(&self, arg: &str, scope: &Scope) -> Option<String> {
        if let Some((known, _)) = super::super::text::KNOWN.iter().find(|(_, argument)| *argument == arg) {
            return Some(format!("{} = \"${{{known}}}\"", words::key(arg)));
        }
        let value = match &scope.values {
            Some(values) => values.get(arg)?.clone(),
            None => format!("${{var.{arg}}}"),
        };
        Some(format!("{} = {}", words::key(arg), string(&value)))
    }

    fn mount(&mut self, step: &Step, mount: &Mount, at: usize, scope: &Scope, lists: &mut Lists) {
        let mut fields: Vec<(String, Option<String>)> = Vec::new();
        for field in &mount.fields {
            let value = field.value.as_ref().map(|value| self.text(value, scope));
            fields.push((field.key.to_ascii_lowercase(), value));
        }
        let get = |names: &[&str]| {
            fields.iter().rev().find(|(key, _)| names.contains(&key.as_str())).map(|(_, value)| value.clone())
        };
        let text = |names: &[&str]| get(names).flatten();
        let target = text(&["target", "dst", "destination"]);
        let kind = text(&["type"]).map_or_else(|| "bind".to_owned(), |kind| kind.trim_matches('"').to_owned());
        let flag = |names: &[&str]| {
            let value = get(names)?;
            Some(value.map_or("true".to_owned(), |value| words::truth(value.trim_matches('"'))))
        };
        let required = flag(&["required"]).unwrap_or_else(|| "false".to_owned());
        let readonly = flag(&["ro", "readonly"]);
        let opposite = |value: String| if value == "true" { "false" } else { "true" }.to_owned();
        let owned = vec![("uid", text(&["uid"])), ("gid", text(&["gid"])), ("mode", text(&["mode"]))];
        let known: &[&str] = match kind.as_str() {
            "cache" => {
                &["type", "target", "dst", "destination", "id", "sharing", "uid", "gid", "mode", "ro", "readonly"]
            }
            "tmpfs" => &["type", "target", "dst", "destination", "size"],
            "secret" => &["type", "target", "dst", "destination", "id", "required", "env", "mode", "uid", "gid"],
            "ssh" => &["type", "target", "dst", "destination", "id", "required", "mode", "uid", "gid"],
            "bind" => {
                &["type", "target", "dst", "destination", "from", "source", "src", "rw", "readwrite", "ro", "readonly"]
            }
            _ => &[],
        };
        if fields.iter().any(|(key, _)| !known.contains(&key.as_str())) {
            return self.unsaid(step.span, "a field of a mount");
        }
        // Without a place it is the working directory.
        let here = || matches!(kind.as_str(), "cache" | "tmpfs" | "bind").then(|| string("."));
        let target = target.or_else(here);
        let entry = |pairs: Vec<(&str, Option<String>)>| {
            let said: Vec<String> =
                pairs.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}", value?))).collect();
            format!("{{ {} }}", said.join(", "))
        };
        match kind.as_str() {
            "cache" => lists.cache.push(entry(
                [
                    vec![
                        ("path", target),
                        ("id", text(&["id"])),
                        ("share", text(&["sharing"]).map(|sharing| sharing.to_lowercase())),
                        ("readonly", readonly),
                    ],
                    owned,
                ]
                .concat(),
            )),
            "tmpfs" => lists.mount.push(entry(vec![
                ("tmpfs", Some("true".to_owned())),
                ("size", text(&["size"])),
                ("to", target),
            ])),
            "secret" => {
                // Without an id, it is called as the file.
                let named = |path: &String| format!("\"{}", path.rsplit(['/', '"']).nth(1).unwrap_or_default()) + "\"";
                let own = vec![
                    ("id", text(&["id"]).or_else(|| target.as_ref().map(named))),
                    ("path", target),
                    ("env", text(&["env"])),
                    ("required", Some(required)),
                ];
                lists.secret.push(entry([own, owned].concat()));
            }
            "ssh" => {
                let own = vec![("id", text(&["id"])), ("path", target), ("required", Some(required))];
                lists.ssh.push(entry([own, owned].concat()));
            }
            _ => {
                let path = text(&["source", "src"]).map(|path| path.trim_matches('"').to_owned());
                let from = text(&["from"]).map(|from| from.trim_matches('"').to_owned());
                let from = self.place(from.as_deref(), path.as_deref(), at);
                let writable = flag(&["rw", "readwrite"]).or(readonly.map(opposite));
                lists.mount.push(entry(vec![("from", Some(string(&from))), ("to", target), ("writable", writable)]));
            }
        }
    }

    /// A path of another stage, of an image, or of the build context, as a reference.
    fn place(&mut self, from: Option<&str>, path: Option<&str>, at: usize) -> String {
        let own = self.told.and_then(|told| told.context.clone());
        let named = from.and_then(|from| self.told?.contexts.get(&from.to_lowercase()).cloned());
        let name = match (from, named, own) {
            (_, Some(Named::Image(reference)), _) => Some(self.source("image", &reference, "")),
            (_, Some(Named::Result(name)), _) => Some(self.shared.result(&name)),
            (_, Some(Named::Directory(source)), _) | (None, None, Some(source)) => Some(source),
            (Some(from), None, _) => Some(self.reference(from, at).unwrap_or_else(|| self.source("image", from, ""))),
            (None, None, None) => None,
        };
        let Some(name) = name else {
            return match path.map(|path| path.trim_start_matches("./")) {
                None | Some("" | ".") => ".".to_owned(),
                Some(path) => format!("./{path}"),
            };
        };
        let path = path.filter(|path| !matches!(*path, "." | "./" | "/"));
        path.map_or_else(|| name.clone(), |path| format!("{name}:{path}"))
    }

    /// A source, which is declared once.
    fn source(&mut self, kind: &str, value: &str, more: &str) -> String {
        let line = format!("{{ {kind} = {}{more} }}", string(value));
        if let Some((name, _)) = self.shared.sources.iter().find(|(_, known)| *known == line) {
            return name.clone();
        }
        let name = format!("{kind}-{}", self.shared.sources.len() + 1);
        self.shared.sources.push((name.clone(), line));
        name
    }

    /// The source that is a document, which has its name.
    fn document(&mut self, document: &Document) -> Option<String> {
        if document.expand && document.content.lossy().contains(['$', '\\']) {
            self.unsaid(document.span, "a document with variables in it");
            return None;
        }
        let content = document.chomped();
        let line = format!("{{ inline = {} }}", string(&String::from_utf8_lossy(&content)));
        match self.shared.sources.iter().find(|(name, _)| *name == document.name) {
            Some((_, known)) if *known != line => {
                self.unsaid(document.span, "two documents of one name: give one another");
                return None;
            }
            Some(_) => {}
            None => self.shared.sources.push((document.name.clone(), line)),
        }
        Some(document.name.clone())
    }

    fn attributes(&mut self, step: &Step, scope: &Scope) -> String {
        let mut text = String::new();
        let mut except = Vec::new();
        let mut only = Vec::new();
        for opt in &step.opts {
            match &opt.kind {
                OptKind::Chown(owner) => text += &format!("owner = {}\n", self.text(owner, scope)),
                OptKind::Chmod(mode) => text += &format!("mode = {}\n", self.text(mode, scope)),
                OptKind::Link(true) => text += "link = true\n",
                OptKind::Parents(true) => text += "parents = true\n",
                OptKind::Exclude(pattern) => except.push(self.text(pattern, scope)),
                OptKind::Include(pattern) => only.push(self.text(pattern, scope)),
                OptKind::From(_) | OptKind::Checksum(_) | OptKind::KeepGitDir(_) => {}
                OptKind::Link(false) | OptKind::Parents(false) => {}
                OptKind::Unpack(_) => {}
                _ => self.unsaid(opt.span, "an option of a copy"),
            }
        }
        for (key, patterns) in [("only", only), ("except", except)] {
            if !patterns.is_empty() {
                text += &format!("{key} = [{}]\n", patterns.join(", "));
            }
        }
        text
    }

    fn copy(&mut self, step: &Step, copy: &Copy, at: usize, scope: &Scope) -> Vec<String> {
        let (to, attributes) = (self.text(&copy.dest, scope), self.attributes(step, scope));
        let from = step.opts.iter().find_map(|opt| if let OptKind::From(from) = &opt.kind { Some(from) } else { None });
        let from = from.map(|from| self.text(from, scope).trim_matches('"').to_owned());
        let mut places = Vec::new();
        for source in &copy.sources {
            let path = unquoted(&self.text(source, scope));
            places.push(string(&self.place(from.as_deref(), Some(&path), at)));
        }
        for document in &copy.documents {
            places.extend(self.document(document).map(|name| string(&name)));
        }
        let places = if places.len() == 1 { places.concat() } else { format!("[{}]", places.join(", ")) };
        vec![format!("copy = {places}\nto = {to}\n{attributes}")]
    }

    fn add(&mut self, step: &Step, copy: &Copy, at: usize, scope: &Scope) -> Vec<String> {
        let is_address = |text: &str| text.starts_with("http://") || text.starts_with("https://");
        let sources: Vec<String> = copy.sources.iter().map(|source| unquoted(&self.text(source, scope))).collect();
        let (to, attributes) = (self.text(&copy.dest, scope), self.attributes(step, scope));
        match &sources[..] {
            [] => self.copy(step, copy, at, scope),
            _ if !copy.documents.is_empty() => {
                self.unsaid(step.span, "ADD of files and documents at once");
                Vec::new()
            }
            [address] if is_repository(address) => {
                let mut more = String::new();
                for opt in &step.opts {
                    match &opt.kind {
                        OptKind::KeepGitDir(keep) => more += &format!(", keep-git = {keep}"),
                        OptKind::Checksum(_) => self.unsaid(opt.span, "the checksum of a repository"),
                        _ => {}
                    }
                }
                let name = self.source("git", address, &more);
                vec![format!("copy = {}\nto = {to}\n{attributes}", string(&name))]
            }
            [address] if is_address(address) => {
                let mut more = String::new();
                for opt in &step.opts {
                    match &opt.kind {
                        OptKind::Checksum(sum) if sum.raw().lossy().contains('$') => {
                            self.unsaid(opt.span, "a checksum with a variable in it");
                        }
                        OptKind::Checksum(sum) => more += &format!(", sha256 = {}", self.text(sum, scope)),
                        OptKind::Unpack(on) => more += &format!(", unpack = {on}"),
                        _ => {}
                    }
                }
                let name = self.source("http", address, &more);
                vec![format!("copy = {}\nto = {to}\n{attributes}", string(&name))]
            }
            [path] if !path.contains("://") && !path.starts_with("git@") => {
                let place = self.place(None, Some(path), at);
                let is_whole = step.opts.iter().any(|opt| matches!(opt.kind, OptKind::Unpack(false)));
                let key = if is_whole { "copy" } else { "unpack" };
                vec![format!("{key} = {}\nto = {to}\n{attributes}", string(&place))]
            }
            _ => {
                self.unsaid(step.span, "ADD of several sources, or of a repository");
                Vec::new()
            }
        }
    }
}

/// Whether an address is one of a repository, as far as can be told without its server.
fn is_repository(address: &str) -> bool {
    let path = address.split(['#', '?']).next().unwrap_or_default();
    let is_web = address.starts_with("http://") || address.starts_with("https://");
    address.starts_with("git://")
        || address.starts_with("ssh://")
        || address.starts_with("git@")
        || is_web && path.ends_with(".git")
}

/// What of a process is in lists.
#[derive(Default)]
struct Lists {
    cache: Vec<String>,
    secret: Vec<String>,
    ssh: Vec<String>,
    mount: Vec<String>,
}

impl Lists {
    fn text(&self) -> String {
        let lists = [("cache", &self.cache), ("secret", &self.secret), ("ssh", &self.ssh), ("mount", &self.mount)];
        let said = lists.iter().filter(|(_, entries)| !entries.is_empty());
        said.map(|(key, entries)| format!("{key} = [{}]\n", entries.join(", "))).collect()
    }
}

/// Whether a document is all there is of a command.
fn is_script(command: &Command, document: &Document) -> bool {
    let [line] = &command.args[..] else { return false };
    line.lossy().trim() == crate::dockerfile::print::opener(document)
}
