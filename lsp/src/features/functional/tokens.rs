//! What each word is: types and words of the language, calls, texts, the scripts in them.

use ast::{Call, Expr, ExprKind, Span};

use super::super::tokens::{Token, TokenKind, script};
use super::{Visit, literal, walk};
use crate::File;

/// Words that are the language's wherever they stand outside of texts.
const KEYWORDS: &[&str] = &[
    "with", "as", "if", "else", "binds", "import", "from", "export", "variadic", "fs", "string", "int", "bool",
    "pipeline", "option",
];

/// The tokens of a file, in no order; those of names come elsewhere.
pub(in super::super) fn tokens(file: &File) -> Vec<Token> {
    let mut painter = Painter { file, tokens: Vec::new(), texts: Vec::new() };
    walk(&file.module, &mut painter);
    painter.texts.sort_by_key(|span| span.start);
    painter.words();
    painter.tokens
}

struct Painter<'f> {
    file: &'f File,
    tokens: Vec<Token>,
    texts: Vec<Span>,
}

impl<'f> Visit<'f> for Painter<'f> {
    fn call(&mut self, call: &'f Call) {
        self.add(call.callee(), TokenKind::Command);
        if let ("run", [only]) = (call.name.text.as_str(), &call.args[..])
            && let Some((_, inner)) = literal(self.file, only)
        {
            for (span, kind) in script(self.file, inner) {
                self.add(span, kind);
            }
        }
    }

    fn expr(&mut self, expr: &'f Expr) {
        match expr.kind {
            ExprKind::Text(_) => {
                self.texts.push(expr.span);
                self.add(expr.span, TokenKind::Text);
            }
            ExprKind::Int(_) => self.add(expr.span, TokenKind::Number),
            ExprKind::Bool(_) => self.add(expr.span, TokenKind::Keyword),
            ExprKind::Block(_) | ExprKind::Call(_) | ExprKind::Choice(_) | ExprKind::Hole => {}
        }
    }
}

impl Painter<'_> {
    fn add(&mut self, span: Span, kind: TokenKind) {
        self.tokens.push(Token { span, kind, defines: false });
    }

    /// Comments and words of the language, outside of texts.
    fn words(&mut self) {
        let text = self.file.text();
        let bytes = text.as_bytes();
        let mut texts = std::mem::take(&mut self.texts).into_iter().peekable();
        let span = |start: usize, end: usize| Span::new(ast::FileId(0), start as u32, end as u32);
        let mut at = 0;
        while at < bytes.len() {
            while texts.next_if(|text| text.end as usize <= at).is_some() {}
            if let Some(inside) = texts.peek().filter(|text| text.start as usize <= at) {
                at = inside.end as usize;
                continue;
            }
            let rest = &bytes[at..];
            if rest[0] == b'#' {
                let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                self.add(span(at, at + length), TokenKind::Comment);
                at += length;
            } else if rest[0].is_ascii_alphanumeric() || rest[0] == b'_' {
                let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':');
                let length = rest.iter().position(|b| !is_part(b)).unwrap_or(rest.len());
                let word = &text[at..at + length];
                if KEYWORDS.contains(&word.split(':').next().unwrap_or_default()) {
                    self.add(span(at, at + length), TokenKind::Keyword);
                }
                at += length;
            } else {
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::features::tokens::tokens;

    #[test]
    fn words_texts_and_scripts() {
        let text = "# c\nfs a(string v) {\n\timage \"x\"\n\trun \"make -j $N\" with option {\n\t\tmount fs { local \".\"; } \"/s\"\n\t}\n\tchmod 0o7\n}\n";
        let (file, _) = crate::testing::named("main.hlb", text);
        let found = tokens(&file, ast::Span::new(ast::FileId(0), 0, text.len() as u32));
        let shown: Vec<_> = found.iter().map(|token| format!("{:?}:{}", token.kind, file.slice(token.span))).collect();
        let shown = shown.join(" ");
        for part in [
            "Comment:# c Keyword:fs Command:a Keyword:string Variable:v Command:image Text:\"x\"",
            "Command:run Text:\" Command:make Parameter:-j Variable:$N Keyword:with Keyword:option Command:mount",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
}
