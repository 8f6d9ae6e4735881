//! Colours and sizes of terminal progress, from the variables that BuildKit's tools obey.

/// How progress looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// Of steps that ended well; `None` is no colour.
    pub(super) run: Option<Colour>,
    /// Of steps that were stopped, and warnings.
    pub(super) cancel: Option<Colour>,
    /// Of steps that failed.
    pub(super) error: Option<Colour>,
    is_plain: bool,
    /// Lines of output shown of a running step.
    pub(super) log_lines: usize,
}

/// A colour of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// Code of the sixteen colours.
    Named(u8),
    /// Red, green, blue.
    Exact(u8, u8, u8),
}

/// Lines of output shown when nothing is said.
const LOG_LINES: usize = 6;
const NAMES: [&str; 8] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

impl Style {
    /// By `NO_COLOR`, `BUILDKIT_COLORS` and `BUILDKIT_TTY_LOG_LINES`, looked up by `var`.
    pub(super) fn from_environment(var: impl Fn(&str) -> Option<String>) -> Self {
        let is_plain = var("NO_COLOR").is_some_and(|value| !value.is_empty());
        let log_lines = var("BUILDKIT_TTY_LOG_LINES").and_then(|lines| lines.parse().ok()).filter(|lines| *lines > 0);
        let mut style = Self {
            run: Some(Colour::Named(34)),
            cancel: Some(Colour::Named(33)),
            error: Some(Colour::Named(31)),
            is_plain,
            log_lines: log_lines.unwrap_or(LOG_LINES),
        };
        if is_plain {
            (style.run, style.cancel, style.error) = (None, None, None);
            return style;
        }
        let colours = var("BUILDKIT_COLORS").unwrap_or_default();
        for (key, colour) in colours.split(':').filter_map(|field| field.split_once('=')) {
            match (key, colour_of(colour)) {
                ("run", Some(colour)) => style.run = Some(colour),
                ("cancel", Some(colour)) => style.cancel = Some(colour),
                ("error", Some(colour)) => style.error = Some(colour),
                _ => {}
            }
        }
        style
    }

    /// A text in a colour.
    pub(super) fn paint(&self, text: &str, colour: Option<Colour>) -> String {
        match colour {
            None => text.to_owned(),
            Some(Colour::Named(code)) => format!("\x1b[{code}m{text}\x1b[0m"),
            Some(Colour::Exact(red, green, blue)) => format!("\x1b[38;2;{red};{green};{blue}m{text}\x1b[0m"),
        }
    }

    /// A text that steps back.
    pub(super) fn faint(&self, text: &str) -> String {
        if self.is_plain { text.to_owned() } else { format!("\x1b[2m{text}\x1b[0m") }
    }
}

fn colour_of(text: &str) -> Option<Colour> {
    let text = text.to_ascii_lowercase();
    let (name, base) = match text.strip_prefix("light-") {
        Some(name) => (name, 90),
        None => (text.as_str(), 30),
    };
    if let Some(code) = NAMES.iter().position(|known| *known == name) {
        return Some(Colour::Named(base + code as u8));
    }
    let parts: Vec<u8> = text.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [red, green, blue] = parts.try_into().ok()?;
    Some(Colour::Exact(red, green, blue))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], painted: &str, log_lines: usize) {
        let var = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        let style = Style::from_environment(var);
        assert_eq!((style.paint("x", style.run).as_str(), style.log_lines), (painted, log_lines), "{variables:?}");
    }

    #[test]
    fn variables_decide() {
        check(&[], "\x1b[34mx\x1b[0m", 6);
        check(&[("NO_COLOR", "1"), ("BUILDKIT_COLORS", "run=red")], "x", 6);
        check(&[("NO_COLOR", "")], "\x1b[34mx\x1b[0m", 6);
        check(&[("BUILDKIT_COLORS", "error=blue:run=light-green")], "\x1b[92mx\x1b[0m", 6);
        check(&[("BUILDKIT_COLORS", "run=1,2,3"), ("BUILDKIT_TTY_LOG_LINES", "9")], "\x1b[38;2;1;2;3mx\x1b[0m", 9);
        check(&[("BUILDKIT_COLORS", "run=300,2,3:what"), ("BUILDKIT_TTY_LOG_LINES", "no")], "\x1b[34mx\x1b[0m", 6);
    }
}
