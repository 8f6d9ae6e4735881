//! The formatter: the syntax tree printed again, with tabs and one statement a line.
//!
//! Its output is that of HLB's own formatter. Texts are kept to the byte, comments stay with what they stand at, and the
//! result means what the text meant.

use std::ops::Range;

use super::syntax::*;

/// Where something is printed.
#[derive(Clone, Copy)]
struct Place {
    /// Levels of indentation.
    indent: usize,
    /// Whether it must stay on its line, as in the hole of a document.
    inline: bool,
}

impl Place {
    fn deeper(self) -> Self {
        Self { indent: self.indent + 1, ..self }
    }

    fn tabs(self) -> String {
        "\t".repeat(self.indent)
    }
}

/// A file, printed.
pub(super) struct Printed {
    pub(super) text: String,
    /// Where each declaration and comment stands in the text that was, and in the one that is printed; in order.
    pub(super) pieces: Vec<(Range<usize>, Range<usize>)>,
}

/// Prints a file.
pub(super) fn format(text: &str, file: &File) -> Printed {
    let printer = Printer { text };
    let mut out = String::with_capacity(text.len());
    let mut blank = true;
    let mut ended = true;
    let mut pieces: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    for item in &file.items {
        let printed = printer.item(item);
        let is_newline = printed == "\n";
        if is_newline && blank {
            continue;
        }
        blank = is_newline;
        if !ended {
            out.push_str(match printed.as_str() {
                "\n" => "\n",
                comment if comment.starts_with('#') => " ",
                _ => "\n\n",
            });
        }
        ended = printed.ends_with('\n');
        let start = out.len();
        out.push_str(&printed);
        if let Some(at) = item.at() {
            pieces.push((at.start as usize..at.end as usize, start..out.len()));
        }
    }
    let text = out.trim().to_owned() + "\n";
    if let Some((_, last)) = pieces.last_mut() {
        last.end = last.end.min(text.len());
    }
    Printed { text, pieces }
}

/// Whether nothing is in a list but comments on lines that follow each other.
fn is_one_group<T>(list: &List<T>) -> bool {
    let inside = list.entries.iter().skip_while(|entry| matches!(entry, Entry::Newline));
    let after = inside.skip_while(|entry| matches!(entry, Entry::Comment(_)));
    after.into_iter().all(|entry| matches!(entry, Entry::Newline))
}

struct Printer<'t> {
    text: &'t str,
}

impl<'t> Printer<'t> {
    fn slice(&self, at: &At) -> &'t str {
        &self.text[at.start as usize..at.end as usize]
    }

    /// A comment with its line break, which the last of a file may lack.
    fn comment(&self, at: &At) -> String {
        self.slice(at).trim_end_matches('\n').to_owned() + "\n"
    }

    fn item(&self, item: &Item) -> String {
        let top = Place { indent: 0, inline: false };
        match item {
            Item::Newline => "\n".to_owned(),
            Item::Comment(at) => self.comment(at),
            Item::Export(export) => format!("export {}", self.slice(&export.name)),
            Item::Import(import) => {
                let keyword = if import.keyword { "from " } else { "" };
                format!("import {} {keyword}{}", self.slice(&import.name), self.expr(&import.from, top))
            }
            Item::Function(function) => self.function(function, top),
        }
    }

    fn function(&self, function: &Function, place: Place) -> String {
        let fields = |list| self.list(list, place, |printer, field, _| printer.field(field));
        let mut out =
            format!("{} {}{}", self.slice(&function.ty), self.slice(&function.name), fields(&function.params));
        if let Some(effects) = &function.effects {
            out += " binds ";
            out += &fields(effects);
        }
        if let Some(block) = &function.block {
            out += " ";
            out += &self.block(block, place);
        }
        out
    }

    fn field(&self, field: &Field) -> String {
        let variadic = if field.variadic { "variadic " } else { "" };
        let place = Place { indent: 0, inline: true };
        let default = field.default.as_ref().map(|value| format!(" = {}", self.expr(value, place))).unwrap_or_default();
        format!("{variadic}{} {}{default}", self.slice(&field.ty), self.slice(&field.name))
    }

    /// A list: on one line unless an element ends a line.
    fn list<T>(&self, list: &List<T>, place: Place, print: impl Fn(&Self, &T, Place) -> String) -> String {
        let has_comments = list.entries.iter().any(|entry| matches!(entry, Entry::Comment(_)));
        let has_newlines = !place.inline && list.entries.iter().any(|entry| matches!(entry, Entry::Newline));
        if !has_comments && !has_newlines {
            let items: Vec<String> = list.items().map(|item| print(self, item, place)).collect();
            return format!("({})", items.join(", "));
        }
        let inner = place.deeper();
        let mut out = "(\n".to_owned();
        let mut fresh = true;
        for entry in &list.entries {
            match entry {
                Entry::Newline if fresh => {}
                Entry::Newline => {
                    out.push('\n');
                    fresh = true;
                }
                Entry::Comment(at) => {
                    out += &if fresh { inner.tabs() } else { " ".to_owned() };
                    out += &self.comment(at);
                    fresh = true;
                }
                Entry::Item(item) => {
                    out += &if fresh { inner.tabs() } else { " ".to_owned() };
                    out += &print(self, item, inner);
                    out.push(',');
                    fresh = false;
                }
            }
        }
        out.truncate(out.trim_end_matches('\n').len());
        // HLB leaves a blank line where comments are all there is.
        let blank = if has_comments && is_one_group(list) { "\n" } else { "" };
        format!("{out}\n{blank}{})", place.tabs())
    }

    fn block(&self, block: &Block, place: Place) -> String {
        if block.items.is_empty() {
            return "{}".to_owned();
        }
        let ends_line = |statement: &Statement| match statement {
            Statement::Comment(_) => true,
            Statement::Newline => !place.inline,
            Statement::Call(_, end) | Statement::Expr(_, end) => matches!(end, End::Comment(_)),
            Statement::Hole(_) => false,
        };
        if !block.items.iter().any(ends_line) {
            let statements: Vec<String> = self.statements(block, place).collect();
            return format!("{{ {} }}", statements.join("; "));
        }
        let inner = place.deeper();
        let mut lines: Vec<String> = Vec::new();
        let mut blank = false;
        for (index, statement) in block.items.iter().enumerate() {
            let is_newline = matches!(statement, Statement::Newline);
            if is_newline && blank && index > 0 {
                continue;
            }
            blank = is_newline && index > 0;
            lines.push(self.statement(statement, inner));
        }
        let mut out = "{".to_owned();
        for (index, line) in lines.iter().enumerate() {
            match (index, line.is_empty()) {
                (0, _) if line.starts_with('#') => out.push(' '),
                (0, _) | (_, true) => {}
                _ => out += &inner.tabs(),
            }
            out += line;
            out.push('\n');
        }
        out + &place.tabs() + "}"
    }

    fn statements<'p>(&'p self, block: &'p Block, place: Place) -> impl Iterator<Item = String> + 'p {
        let is_code = |statement: &&Statement| !matches!(statement, Statement::Newline);
        block.items.iter().filter(is_code).map(move |statement| self.statement(statement, place))
    }

    /// A statement without the end of its line.
    fn statement(&self, statement: &Statement, place: Place) -> String {
        let (mut out, end) = match statement {
            Statement::Newline => return String::new(),
            Statement::Comment(at) => return self.comment(at).trim_end_matches('\n').to_owned(),
            Statement::Hole(at) => return self.slice(at).trim().to_owned(),
            Statement::Call(call, end) => (self.call(call, place), end),
            Statement::Expr(expr, end) => (self.expr(expr, place), end),
        };
        if let End::Comment(at) = end {
            out.push(' ');
            out += self.slice(at).trim_end_matches('\n');
        }
        out
    }

    fn call(&self, call: &Call, place: Place) -> String {
        let mut out = self.reference(&call.name);
        for arg in &call.args {
            out.push(' ');
            out += &self.argument(arg, place);
        }
        if let Some(with) = call.with.as_ref().filter(|with| !with.is_empty_block()) {
            out += " with ";
            out += &self.expr(with, place);
        }
        if let Some(bind) = &call.bind {
            out += " as";
            out += &match &bind.names {
                // HLB prints `as _` here, which is a name, and so another program.
                BindNames::None => String::new(),
                BindNames::One(name) => format!(" {}", self.slice(name)),
                BindNames::List(list) => {
                    " ".to_owned()
                        + &self.list(list, place, |printer, (effect, name), _| {
                            format!("{} {}", printer.slice(effect), printer.slice(name))
                        })
                }
            };
        }
        out
    }

    fn argument(&self, arg: &Arg, place: Place) -> String {
        let name = arg.name.as_ref().map(|name| format!("{}=", self.slice(name))).unwrap_or_default();
        name + &self.expr(&arg.value, place)
    }

    fn reference(&self, name: &Ref) -> String {
        match &name.member {
            Some(member) => format!("{}.{}", self.slice(&name.name), self.slice(member)),
            None => self.slice(&name.name).to_owned(),
        }
    }

    fn expr(&self, expr: &Expr, place: Place) -> String {
        match &expr.kind {
            ExprKind::Block(ty, block) => format!("{} {}", self.slice(ty), self.block(block, place)),
            ExprKind::Call(name, None) => self.reference(name),
            ExprKind::Call(name, Some(list)) => self.reference(name) + &self.list(list, place, Self::argument),
            ExprKind::Decimal(value) => value.to_string(),
            ExprKind::Bool(value) => value.to_string(),
            ExprKind::Numeric(value) => match self.slice(&expr.at).as_bytes()[1] {
                b'b' | b'B' => format!("{value:#b}"),
                b'o' | b'O' => format!("{value:#o}"),
                _ => format!("{value:#x}"),
            },
            ExprKind::Text(form, parts) => self.string(form, parts, place),
            ExprKind::Choice(choice) => self.choice(choice, place),
        }
    }

    fn choice(&self, choice: &Choice, place: Place) -> String {
        let right = choice.condition.right.as_ref().map(|(same, right)| {
            let sign = if *same { "==" } else { "!=" };
            format!(" {sign} {}", self.expr(right, place))
        });
        let condition = self.expr(&choice.condition.left, place) + &right.unwrap_or_default();
        let otherwise = choice.otherwise.as_ref().map(|otherwise| match otherwise {
            Otherwise::Block(block) => format!(" else {}", self.block(block, place)),
            Otherwise::Choice(choice) => format!(" else {}", self.choice(choice, place)),
        });
        format!("if {condition} {}{}", self.block(&choice.then, place), otherwise.unwrap_or_default())
    }

    fn string(&self, form: &Form, parts: &[Part], place: Place) -> String {
        let inline = matches!(form, Form::Heredoc(..)) || place.inline;
        let body: String = parts.iter().map(|part| self.part(part, Place { inline, ..place })).collect();
        match form {
            Form::Quoted => format!("\"{body}\""),
            Form::Raw => format!("`{body}`"),
            Form::Heredoc(opener, end, true) => format!("{}{body}{}", self.slice(opener), self.slice(end)),
            Form::Heredoc(opener, end, false) => {
                let trimmed = body.trim_end_matches('\t');
                let mut tabs = place.tabs();
                // Behind a word without a blank it would be a part of the word. HLB writes that, which is another program.
                if tabs.is_empty() && trimmed.len() < body.len() && !trimmed.ends_with(char::is_whitespace) {
                    tabs.push('\t');
                }
                format!("{}{trimmed}{tabs}{}", self.slice(opener), self.slice(end))
            }
        }
    }

    fn part(&self, part: &Part, place: Place) -> String {
        match part {
            Part::Text(at) | Part::Escaped(at) => self.slice(at).to_owned(),
            Part::Hole(Some(expr), _) => format!("${{{}}}", self.expr(expr, place)),
            Part::Hole(None, _) => "${}".to_owned(),
        }
    }
}
