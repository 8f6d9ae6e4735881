//! Semantic tokens: what each word is, shell scripts inside steps included.

use ast::{Command, Document, Op, OptKind, Span, Step, Str, visit};

use crate::File;
use crate::shell;

/// What a token is. Its number is its place in [`KINDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenKind {
    /// A keyword of the language or of the shell.
    Keyword,
    /// A comment.
    Comment,
    /// A string, or the delimiter of a document.
    Text,
    /// An option's name, or a key.
    Property,
    /// A stage.
    Stage,
    /// A variable.
    Variable,
    /// A command of a script.
    Command,
    /// A word of a script that starts with a dash.
    Parameter,
    /// An operator of a script.
    Operator,
    /// An image.
    Image,
    /// A number.
    Number,
}

/// All kinds with the protocol's names, in the order of their numbers.
pub const KINDS: &[(TokenKind, &str)] = &[
    (TokenKind::Keyword, "keyword"),
    (TokenKind::Comment, "comment"),
    (TokenKind::Text, "string"),
    (TokenKind::Property, "property"),
    (TokenKind::Stage, "class"),
    (TokenKind::Variable, "variable"),
    (TokenKind::Command, "function"),
    (TokenKind::Parameter, "parameter"),
    (TokenKind::Operator, "operator"),
    (TokenKind::Image, "namespace"),
    (TokenKind::Number, "number"),
];

/// A token; never longer than a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Where.
    pub span: Span,
    /// What.
    pub kind: TokenKind,
    /// Whether a name is defined here.
    pub defines: bool,
}

/// The tokens that start in a range, in file order, not overlapping.
pub fn tokens(file: &File, range: Span) -> Vec<Token> {
    let mut painter = Painter { file, range, tokens: Vec::new() };
    if let Some((tree, grammar)) = file.keyed() {
        painter.tokens = super::keyed::tokens::tokens(file, tree, grammar);
        painter.names();
        return painter.finish();
    }
    if file.module.dialect.functions {
        painter.tokens = super::functional::tokens::tokens(file);
        painter.names();
        return painter.finish();
    }
    let touches = |span: Span| span.start < range.end && range.start <= span.end;
    for (step, _) in visit::steps(&file.module) {
        // Comments stand before their step.
        let start = step.comments.first().map_or(step.span.start, |comment| comment.span.start);
        if touches(Span { start, ..step.span }) {
            painter.step(step);
        }
    }
    for def in file.module.defs.iter().filter(|def| touches(def.span)) {
        if let Some(alias) = &def.alias {
            painter.add(alias.keyword.span, TokenKind::Keyword);
        }
    }
    painter.names();
    painter.finish()
}

struct Painter<'f> {
    file: &'f File,
    range: Span,
    tokens: Vec<Token>,
}

impl Painter<'_> {
    fn add(&mut self, span: Span, kind: TokenKind) {
        self.tokens.push(Token { span, kind, defines: false });
    }

    fn step(&mut self, step: &Step) {
        for comment in &step.comments {
            self.add(comment.span, TokenKind::Comment);
        }
        self.add(step.keyword, TokenKind::Keyword);
        step.opts.iter().for_each(|opt| self.option(opt));
        visit::strings(step, &mut |string| self.string(string));
        match &step.op {
            Op::From(base) if base.raw().lossy() == "scratch" => self.add(base.span, TokenKind::Keyword),
            Op::From(base) => self.add(base.span, TokenKind::Image),
            Op::Env(pairs) | Op::Label(pairs) => {
                pairs.iter().for_each(|pair| self.add(pair.key.span, TokenKind::Property));
            }
            Op::Run(command) | Op::Cmd(command) | Op::Entrypoint(command) => self.command(step, command),
            _ => {}
        }
        for document in visit::documents(step) {
            self.document(step, document);
        }
    }

    fn option(&mut self, opt: &ast::Opt) {
        let written = self.file.slice(opt.span);
        let name = written.find('=').unwrap_or(written.len()) as u32;
        self.add(Span { end: opt.span.start + name, ..opt.span }, TokenKind::Property);
        if let OptKind::Mount(mount) = &opt.kind {
            for field in &mount.fields {
                let end = field.value.as_ref().map_or(field.span.end, |value| value.span.start.saturating_sub(1));
                self.add(Span { end: end.max(field.span.start), ..field.span }, TokenKind::Property);
            }
        }
    }

    /// The quotes of a string, and the variables in it.
    fn string(&mut self, string: &Str) {
        let text = self.file.slice(string.span);
        if text.starts_with(['"', '\'']) && !text.contains('$') {
            self.add(string.span, TokenKind::Text);
        }
        for (at, _) in text.match_indices('$') {
            let rest = &text[at + 1..];
            let length = match rest.strip_prefix('{') {
                Some(inner) => inner.find('}').map_or(inner.len(), |end| end + 1) + 1,
                None => rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len()),
            };
            let start = string.span.start + at as u32;
            self.add(Span { start, end: start + 1 + length as u32, ..string.span }, TokenKind::Variable);
        }
    }

    fn command(&mut self, step: &Step, command: &Command) {
        if !command.shell {
            return self.list(step, command);
        }
        let start = self.tokens.len();
        self.script(command.span);
        // What opens a document is no redirection.
        let openers: Vec<Span> = command.documents.iter().map(|document| document.opener).collect();
        let opens = |span: Span| openers.iter().any(|opener| opener.start < span.end && span.start < opener.end);
        let script = self.tokens.split_off(start);
        self.tokens.extend(script.into_iter().filter(|token| !opens(token.span)));
    }

    /// The strings of the list form.
    fn list(&mut self, step: &Step, command: &Command) {
        let span = command.span.to(Span { start: command.span.start, ..step.span });
        let text = self.file.slice(span);
        let mut start = None;
        let mut escaped = false;
        for (at, c) in text.char_indices() {
            match (c, start) {
                _ if escaped => escaped = false,
                ('\\', Some(_)) => escaped = true,
                ('"', None) => start = Some(at),
                ('"', Some(first)) => {
                    let place = |at: usize| span.start + at as u32;
                    self.add(Span { start: place(first), end: place(at + 1), ..span }, TokenKind::Text);
                    start = None;
                }
                _ => {}
            }
        }
    }

    fn script(&mut self, span: Span) {
        for (span, kind) in script(self.file, span) {
            self.add(span, kind);
        }
    }

    fn document(&mut self, step: &Step, document: &Document) {
        self.add(document.opener, TokenKind::Text);
        // A script for another program is no shell's.
        let is_script = matches!(step.op, Op::Run(_)) && !document.content.starts_with(b"#!");
        if is_script {
            self.script(document.span);
        }
    }

    /// Names of the file go over what else a word is.
    fn names(&mut self) {
        let names = self.file.names();
        for found in names.within(self.range) {
            let kind = match names.symbols[found.symbol].kind {
                crate::names::Kind::Stage(_) => TokenKind::Stage,
                crate::names::Kind::Function(_) => TokenKind::Command,
                crate::names::Kind::Variable | crate::names::Kind::Bound(_) => TokenKind::Variable,
                crate::names::Kind::Entry("stage" | "image") => TokenKind::Stage,
                crate::names::Kind::Entry("var") => TokenKind::Variable,
                crate::names::Kind::Import | crate::names::Kind::Entry(_) => TokenKind::Image,
            };
            let defines = found.role != crate::names::Role::Reference;
            self.tokens.push(Token { span: found.span, kind, defines });
        }
    }

    /// Sorted, cut at line ends; of tokens over each other the one that starts later wins, of equal ones the name.
    fn finish(mut self) -> Vec<Token> {
        self.tokens.sort_by_key(|token| (token.span.start, token.span.end, token.kind));
        let mut out: Vec<Token> = Vec::with_capacity(self.tokens.len());
        for token in std::mem::take(&mut self.tokens) {
            for piece in pieces(self.file, token) {
                while let Some(last) = out.last_mut() {
                    if last.span.end <= piece.span.start {
                        break;
                    }
                    if last.span.start >= piece.span.start {
                        out.pop();
                        continue;
                    }
                    last.span.end = piece.span.start;
                }
                out.push(piece);
            }
        }
        out.retain(|token| token.span.start >= self.range.start && token.span.start < self.range.end);
        out
    }
}

/// The words of a script.
pub(super) fn script(file: &File, span: Span) -> impl Iterator<Item = (Span, TokenKind)> {
    shell::tokens(file.text(), span).into_iter().filter_map(|token| {
        let kind = match token.kind {
            shell::Kind::Command => TokenKind::Command,
            shell::Kind::Keyword => TokenKind::Keyword,
            shell::Kind::Option => TokenKind::Parameter,
            shell::Kind::Operator => TokenKind::Operator,
            shell::Kind::Quoted => TokenKind::Text,
            shell::Kind::Variable | shell::Kind::Assignment => TokenKind::Variable,
            shell::Kind::Comment => TokenKind::Comment,
            shell::Kind::Argument => return None,
        };
        Some((token.span, kind))
    })
}

/// The parts of a token, one a line, without blanks around them.
fn pieces(file: &File, token: Token) -> impl Iterator<Item = Token> {
    let mut at = token.span.start;
    let lines = file.slice(token.span).split_inclusive('\n').map(move |line| {
        let start = at + (line.len() - line.trim_start().len()) as u32;
        let end = at + line.trim_end().len() as u32;
        at += line.len() as u32;
        Token { span: Span { start, end, ..token.span }, ..token }
    });
    lines.filter(|piece| piece.span.start < piece.span.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::file;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let (file, _) = file(text);
        let found = tokens(&file, Span::new(ast::FileId(0), 0, text.len() as u32));
        assert!(found.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start), "{found:?}");
        let shown = found.iter().map(|token| format!("{:?}:{}", token.kind, file.slice(token.span)));
        assert_eq!(shown.collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn kinds_are_in_the_order_of_their_numbers() {
        assert!(KINDS.iter().enumerate().all(|(number, (kind, _))| *kind as usize == number));
    }

    #[test]
    fn words_of_the_language() {
        check(
            "# c\nFROM a AS b\nCOPY --from=b --link $X /y\n",
            "Comment:# c Keyword:FROM Image:a Keyword:AS Stage:b Keyword:COPY Property:--from Stage:b Property:--link \
             Variable:$X",
        );
        check("FROM scratch\nCMD [\"a\", \"b\"]\n", "Keyword:FROM Keyword:scratch Keyword:CMD Text:\"a\" Text:\"b\"");
    }

    #[test]
    fn keys_and_values() {
        let text = "# c\n[image.a]\nfrom = \"x:${target.arch}\"\nstep = [{ run = 'make -j $X', link = true }]\nn = 3\n";
        let (file, _) = crate::testing::named("build.toml", text);
        let found = tokens(&file, Span::new(ast::FileId(0), 0, text.len() as u32));
        let shown = found.iter().map(|token| format!("{:?}:{}", token.kind, file.slice(token.span)));
        assert_eq!(
            shown.collect::<Vec<_>>().join(" "),
            "Comment:# c Keyword:image Stage:a Property:from Text:\"x: Variable:${target.arch} Property:step Property:run \
             Text:' Command:make Parameter:-j Variable:$X Property:link Keyword:true Property:n Number:3"
        );
    }

    #[test]
    fn scripts() {
        check(
            "FROM a\nRUN x -y \"$(id)\" && \\\n # c\n  z\n",
            "Keyword:FROM Image:a Keyword:RUN Command:x Parameter:-y Text:\" Operator:$( Command:id Operator:) Text:\" \
             Operator:&& Comment:# c Command:z",
        );
        check(
            "FROM a\nRUN <<E\nx \"a\nb\"\nE\n",
            "Keyword:FROM Image:a Keyword:RUN Text:<<E Command:x Text:\"a Text:b\"",
        );
    }
}
