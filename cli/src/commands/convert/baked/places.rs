//! Places in a bake file: its reader gives none, so blocks and keys are looked for by their names.

use ast::{FileId, Span};

/// A text of either form.
pub(super) struct Places<'t> {
    text: &'t str,
    is_json: bool,
}

impl<'t> Places<'t> {
    pub(super) fn new(name: &str, text: &'t str) -> Self {
        Self { text, is_json: name.ends_with(".json") }
    }

    /// The key of a block, else the name of the block, else the start of the text. What a matrix made is found by the start
    /// of its name.
    pub(super) fn of(&self, kind: &str, name: &str, key: &str) -> Span {
        let Some(block) = self.block(kind, name) else { return Span::new(FileId(0), 0, 0) };
        let end = self.end(block.1);
        let key = if key.is_empty() { None } else { self.key(key, block.1, end) };
        let (start, end) = key.unwrap_or(block);
        Span::new(FileId(0), start as u32, end as u32)
    }

    fn block(&self, kind: &str, name: &str) -> Option<(usize, usize)> {
        if self.is_json {
            let quoted = format!("\"{name}\"");
            let start = self.text.find(&format!("\"{kind}\"")).unwrap_or(0);
            let at = start + self.text[start..].find(&quoted)?;
            return Some((at, at + quoted.len()));
        }
        let mut longest: Option<(usize, usize)> = None;
        for (at, _) in self.text.match_indices(kind) {
            let Some(rest) = self.text[at + kind.len()..].trim_start().strip_prefix('"') else { continue };
            let Some((label, _)) = rest.split_once('"') else { continue };
            let is_it = label == name || kind == "target" && name.starts_with(&format!("{label}-"));
            let start = self.text.len() - rest.len() - 1;
            let end = start + label.len() + 2;
            if is_it && longest.is_none_or(|(known, known_end)| end - start > known_end - known) {
                longest = Some((start, end));
            }
        }
        longest
    }

    /// The end of the block whose name ends at `from`.
    fn end(&self, from: usize) -> usize {
        let mut depth = 0;
        for (at, c) in self.text[from..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 1 => return from + at,
                '}' => depth -= 1,
                _ => {}
            }
        }
        self.text.len()
    }

    fn key(&self, key: &str, from: usize, to: usize) -> Option<(usize, usize)> {
        let quoted = format!("\"{key}\"");
        let key = if self.is_json { &quoted } else { key };
        let follows = |at: usize| self.text[at + key.len()..].trim_start().starts_with(['=', ':', '{']);
        let starts = |at: usize| !self.text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        let mut found = self.text[from..to].match_indices(key).map(|(at, _)| from + at);
        found.find(|at| follows(*at) && starts(*at)).map(|at| (at, at + key.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_blocks_are_found() {
        let place = |name, text: &'static str, target, key| {
            let at = Places::new(name, text).of("target", target, key);
            (at.start, &text[at.start as usize..at.end as usize])
        };
        let hcl = "target \"a\" {\n  no-cache = true\n  cache-to = [\"x\"]\n}\ntarget \"ab\" {\n  pull = true\n}\n";
        assert_eq!(place("x.hcl", hcl, "a", "cache-to"), (33, "cache-to"));
        assert_eq!(place("x.hcl", hcl, "ab", "pull").1, "pull");
        assert_eq!(place("x.hcl", hcl, "ab", "cache-to").1, "\"ab\"");
        assert_eq!(place("x.hcl", hcl, "ab-one", "").1, "\"ab\"");
        assert_eq!(place("x.json", r#"{"target": {"a": {"ssh": ["d"]}}}"#, "a", "ssh").1, "\"ssh\"");
        assert_eq!(place("x.hcl", "", "a", "b"), (0, ""));
    }
}
