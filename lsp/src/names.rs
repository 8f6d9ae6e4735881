//! Names of a module: what defines them, what mentions them, and which mentions mean the same.
//!
//! Stages are looked up as the planner does: a base names an earlier stage, everything else the last of the name.
//! Variables live in the scope of a definition and of those it is based on; an argument that is declared again means
//! the module's. Words of commands count where the command is a shell's: there a variable is the step's, unless the
//! script sets one of that name itself.

mod functions;
mod keyed;

use std::collections::BTreeMap;

use ast::word::{Mode, Word};
use ast::{Command, Module, Op, OptKind, Span, Step, Str, visit};

use crate::File;
use crate::shell;

pub(crate) use functions::calls;

/// All names of a module.
#[derive(Debug, Default)]
pub struct Names {
    /// What they stand for.
    pub symbols: Vec<Symbol>,
    /// Where they stand, in file order.
    pub uses: Vec<Use>,
}

/// Something with a name.
#[derive(Debug)]
pub struct Symbol {
    /// As it is looked up.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The definition of this number.
    Stage(usize),
    /// A variable or a parameter.
    Variable,
    /// The function that is the definition of this number.
    Function(usize),
    /// An effect that a call binds, in the function that is the definition of this number.
    Bound(usize),
    /// A module that is used.
    Import,
    /// An entry of a table of this name, in a language of keys and values.
    Entry(&'static str),
}

/// A place where a name stands.
#[derive(Clone, Debug)]
pub struct Use {
    /// The name alone, without signs around it.
    pub span: Span,
    /// Index of the symbol.
    pub symbol: usize,
    /// Whether it is defined here.
    pub role: Role,
}

/// What a place does with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Declares it, with or without a value.
    Declaration,
    /// Gives it a value.
    Definition,
    /// Mentions it.
    Reference,
}

impl Names {
    /// Collects the names of a file.
    pub fn new(file: &File) -> Self {
        if let Some((tree, _)) = file.keyed() {
            return keyed::collect(file, tree);
        }
        let mut collector = Collector { file, names: Self::default(), scopes: vec![Scope::default()], globals: 0 };
        collector.module(&file.module);
        functions::collect(&file.module, &mut collector.names);
        collector.names.uses.sort_by_key(|found| (found.span.start, found.span.end));
        collector.names.uses.dedup_by_key(|found| (found.span, found.symbol));
        collector.names
    }

    /// The name at a place, ends included.
    pub fn at(&self, offset: u32) -> Option<&Use> {
        let after = self.uses.partition_point(|found| found.span.start <= offset);
        self.uses[..after].iter().rev().take(4).find(|found| offset <= found.span.end)
    }

    /// Every place of a symbol, in file order.
    pub fn of(&self, symbol: usize) -> impl Iterator<Item = &Use> {
        self.uses.iter().filter(move |found| found.symbol == symbol)
    }

    /// The names in a range, in file order.
    pub fn within(&self, range: Span) -> &[Use] {
        let start = self.uses.partition_point(|found| found.span.start < range.start);
        let end = self.uses.partition_point(|found| found.span.start < range.end);
        &self.uses[start..end.max(start)]
    }
}

/// Variables of a definition.
#[derive(Default)]
struct Scope {
    /// The scope it is based on.
    base: Option<usize>,
    variables: BTreeMap<String, usize>,
}

struct Collector<'f> {
    file: &'f File,
    names: Names,
    /// The module's, then one for each definition.
    scopes: Vec<Scope>,
    /// Index of the module's scope.
    globals: usize,
}

impl<'f> Collector<'f> {
    fn module(&mut self, module: &'f Module) {
        for step in &module.head {
            self.step(step, 0);
        }
        let stages: Vec<Option<usize>> = module.defs.iter().enumerate().map(|(at, def)| self.stage(at, def)).collect();
        for (at, def) in module.defs.iter().enumerate() {
            let mut scope = Scope::default();
            let Some((from, rest)) = visit::def_steps(def).split_first() else { continue };
            if let Op::From(base) = &from.op {
                let name = base.raw().lossy().to_lowercase();
                let earlier = (0..at).rev().find(|earlier| stage_name(module, *earlier) == Some(&name));
                if let Some((earlier, symbol)) = earlier.and_then(|at| Some((at, stages[at]?))) {
                    scope.base = Some(earlier + 1);
                    self.add(base.span, symbol, Role::Reference);
                }
            }
            self.scopes.push(scope);
            self.mentions(from, self.globals);
            for step in rest {
                self.step(step, at + 1);
                self.sources(module, step, &stages);
            }
        }
    }

    fn stage(&mut self, at: usize, def: &ast::Def) -> Option<usize> {
        let name = def.name.as_ref().filter(|_| def.signature.is_none())?;
        self.names.symbols.push(Symbol { name: name.text.clone(), kind: Kind::Stage(at) });
        let symbol = self.names.symbols.len() - 1;
        self.add(name.span, symbol, Role::Definition);
        Some(symbol)
    }

    /// Stages that options name.
    fn sources(&mut self, module: &Module, step: &Step, stages: &[Option<usize>]) {
        for source in sources(step) {
            let name = source.raw().lossy().to_lowercase();
            let last = (0..module.defs.len()).rev().find(|at| stage_name(module, *at) == Some(&name));
            if let Some(symbol) = last.and_then(|at| stages[at]) {
                self.add(source.span, symbol, Role::Reference);
            }
        }
    }

    fn step(&mut self, step: &'f Step, scope: usize) {
        self.mentions(step, scope);
        match &step.op {
            Op::Arg(params) => {
                for param in params {
                    let role = if param.default.is_some() { Role::Definition } else { Role::Declaration };
                    self.define(&param.name.text, param.name.span, scope, role, true);
                }
            }
            Op::Env(pairs) => {
                for pair in pairs {
                    self.define(&pair.key.raw().lossy(), pair.key.span, scope, Role::Definition, false);
                }
            }
            Op::Run(command) | Op::Cmd(command) | Op::Entrypoint(command) => self.command(step, command, scope),
            Op::Copy(copy) | Op::Add(copy) => {
                for document in copy.documents.iter().filter(|document| document.expand) {
                    self.document(document.span, scope);
                }
            }
            _ => {}
        }
    }

    fn mentions(&mut self, step: &'f Step, scope: usize) {
        for mention in visit::mentions(step) {
            if let Some(span) = self.name_in(mention.span, &mention.name) {
                self.mention(&mention.name, span, scope);
            }
        }
    }

    /// Where the name stands in a reference; in joined lines it is looked for.
    fn name_in(&self, span: Span, name: &str) -> Option<Span> {
        let text = self.file.slice(span);
        let found = [format!("${{{name}"), format!("${name}")];
        let mut places =
            found.iter().flat_map(|found| text.match_indices(found.as_str()).map(|(at, found)| at + found.len()));
        let end = places.next()? as u32 + span.start;
        Some(Span::new(span.file, end - name.len() as u32, end))
    }

    fn command(&mut self, step: &Step, command: &Command, scope: usize) {
        if command.shell && command.span.end > command.span.start {
            self.script(command.span, scope);
        }
        if matches!(step.op, Op::Run(_)) {
            for document in &command.documents {
                self.script(document.span, scope);
            }
        }
    }

    fn script(&mut self, span: Span, scope: usize) {
        let mut own: Vec<&str> = Vec::new();
        for token in shell::tokens(self.file.text(), span) {
            let Some(name_span) = token.name else { continue };
            let name = self.file.slice(name_span);
            match token.kind {
                shell::Kind::Assignment => own.push(name),
                shell::Kind::Variable if !own.contains(&name) => self.mention(name, name_span, scope),
                _ => {}
            }
        }
    }

    fn document(&mut self, span: Span, scope: usize) {
        let word = Word::parse(self.file.slice(span).as_bytes(), b'\\', Mode::Document);
        for reference in word.references() {
            let place = Span::new(span.file, span.start + reference.range.start, span.start + reference.range.end);
            if let Some(place) = self.name_in(place, reference.name) {
                self.mention(reference.name, place, scope);
            }
        }
    }

    fn define(&mut self, name: &str, span: Span, scope: usize, role: Role, argument: bool) {
        let known = self.find(name, scope).or_else(|| if argument { self.find(name, self.globals) } else { None });
        let symbol = known.unwrap_or_else(|| {
            self.names.symbols.push(Symbol { name: name.to_owned(), kind: Kind::Variable });
            self.names.symbols.len() - 1
        });
        self.scopes[scope].variables.insert(name.to_owned(), symbol);
        self.add(span, symbol, role);
    }

    fn mention(&mut self, name: &str, span: Span, scope: usize) {
        if let Some(symbol) = self.find(name, scope) {
            self.add(span, symbol, Role::Reference);
        }
    }

    fn find(&self, name: &str, scope: usize) -> Option<usize> {
        let mut next = Some(scope);
        while let Some(at) = next {
            let scope = self.scopes.get(at)?;
            if let Some(symbol) = scope.variables.get(name) {
                return Some(*symbol);
            }
            next = scope.base;
        }
        None
    }

    fn add(&mut self, span: Span, symbol: usize, role: Role) {
        self.names.uses.push(Use { span, symbol, role });
    }
}

fn stage_name(module: &Module, at: usize) -> Option<&String> {
    module.defs[at].name.as_ref().map(|name| &name.text)
}

/// What options name as a source: stages, images, contexts.
pub(crate) fn sources(step: &Step) -> Vec<&Str> {
    let mut found = Vec::new();
    for opt in &step.opts {
        match &opt.kind {
            OptKind::From(from) => found.push(from),
            OptKind::Mount(mount) => {
                let named = mount.fields.iter().filter(|field| field.key.eq_ignore_ascii_case("from"));
                found.extend(named.filter_map(|field| field.value.as_ref()));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::testing::file;

    /// Every place that means the same as the name at the cursor, as `line:column`.
    #[track_caller]
    fn check(marked: &str, expected: &[&str]) {
        let (file, offset) = file(marked);
        let names = file.names();
        let symbol = names.at(offset).map(|found| found.symbol);
        let places = symbol.into_iter().flat_map(|symbol| names.of(symbol)).map(|found| {
            let at = file.lines().position(found.span.start);
            format!("{}:{} {}", at.line, at.column, file.slice(found.span))
        });
        assert_eq!(places.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn stages() {
        check(
            "FROM a AS ┃base\nFROM BASE\nCOPY --from=base x y\nRUN --mount=type=bind,from=base,target=/b true\n",
            &["1:11 base", "2:6 BASE", "3:13 base", "4:28 base"],
        );
        check("FROM a AS x\nFROM b AS x\nCOPY --from=┃x a b\n", &["2:11 x", "3:13 x"]);
        check("FROM ┃a\n", &[]);
    }

    #[test]
    fn an_argument_declared_again_is_the_same() {
        check(
            "ARG ┃V=1\nFROM a:$V AS x\nARG V\nRUN echo ${V} '$V'\nFROM b\nARG W\nENV V=2\n",
            &["1:5 V", "2:9 V", "3:5 V", "4:12 V"],
        );
    }

    #[test]
    fn variables_are_inherited() {
        check("FROM a AS x\nENV ┃P=1\nFROM x\nWORKDIR /$P\nFROM b\nWORKDIR /$P\n", &["2:5 P", "4:11 P"]);
    }

    #[test]
    fn scripts() {
        check("FROM a\nENV ┃A=1\nRUN A=2; echo $A\n", &["2:5 A"]);
        check("FROM a\nENV ┃A=1\nRUN x \\\n # $A\n && echo \"$A\"\n", &["2:5 A", "5:12 A"]);
        check("FROM a\nENV ┃A=1\nRUN <<E\necho $A\nE\nCOPY <<E <<'F' /\n$A\nE\n$A\nF\n", &["2:5 A", "4:7 A", "7:2 A"]);
    }
}
