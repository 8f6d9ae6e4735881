//! What functional languages have beside names: primitives, signatures, and who calls whom.

use ast::{Call, Def, Span, builtin};

use crate::file::View;
use crate::names::{Kind, calls};

/// The call whose name, member or arguments hold a place: the innermost.
pub(super) fn call_at<'v>(view: &View<'v>, offset: u32) -> Option<&'v Call> {
    let mut found: Option<&Call> = None;
    for def in view.file.module.defs.iter().filter(|def| def.span.start <= offset && offset <= def.span.end) {
        calls(def, &mut |call| {
            let holds = call.span.start <= offset && offset <= call.span.end;
            if holds && found.is_none_or(|known| call.span.end - call.span.start <= known.span.end - known.span.start) {
                found = Some(call);
            }
        });
    }
    found
}

/// The signature of a function as its language writes it: the text up to its body.
pub(super) fn signature<'v>(view: &View<'v>, def: &Def) -> &'v str {
    let text = view.file.slice(def.span);
    text.split(['{', '\n']).next().unwrap_or_default().trim_end()
}

/// The primitive that a name at a place calls, if it is no name of the module.
pub(super) fn primitives(view: &View<'_>, offset: u32) -> Option<(&'static [&'static builtin::Row], Span)> {
    let call = call_at(view, offset)?;
    let name = &call.name;
    let is_here = name.span.start <= offset && offset <= name.span.end;
    if !is_here || call.member.is_some() || view.file.names().at(offset).is_some_and(|found| found.span == name.span) {
        return None;
    }
    let rows = builtin::named(&name.text);
    (!rows.is_empty()).then_some((rows, name.span))
}

/// A function in a hierarchy of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// All of it.
    pub span: Span,
    /// Its name's place.
    pub select: Span,
}

/// A call from one function to another, with the places of the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The other function.
    pub function: Function,
    /// Where the calls stand.
    pub places: Vec<Span>,
}

fn function(def: &Def) -> Option<Function> {
    let name = def.name.as_ref().filter(|_| def.signature.is_some())?;
    Some(Function { name: name.text.clone(), span: def.span, select: name.span })
}

/// The function whose name stands at a place.
pub fn prepare(view: &View<'_>, offset: u32) -> Option<Function> {
    let names = view.file.names();
    let Kind::Function(at) = names.symbols[names.at(offset)?.symbol].kind else { return None };
    function(&view.file.module.defs[at])
}

/// Who calls the function at a place.
pub fn incoming(view: &View<'_>, offset: u32) -> Vec<Link> {
    let Some(wanted) = prepare(view, offset) else { return Vec::new() };
    links(view, |_, callee| callee.select == wanted.select, |caller, _| caller)
}

/// Whom the function at a place calls.
pub fn outgoing(view: &View<'_>, offset: u32) -> Vec<Link> {
    let Some(wanted) = prepare(view, offset) else { return Vec::new() };
    links(view, |caller, _| caller.select == wanted.select, |_, callee| callee)
}

fn links(
    view: &View<'_>,
    wanted: impl Fn(&Function, &Function) -> bool,
    other: impl Fn(Function, Function) -> Function,
) -> Vec<Link> {
    let names = view.file.names();
    let defs = &view.file.module.defs;
    let mut links: Vec<Link> = Vec::new();
    for caller in defs {
        let Some(from) = function(caller) else { continue };
        calls(caller, &mut |call| {
            let found = names.at(call.name.span.start).filter(|found| found.span == call.name.span);
            // What is bound in a function is that function, with another result.
            let kind = found.map(|found| names.symbols[found.symbol].kind);
            let Some(Kind::Function(at) | Kind::Bound(at)) = kind else { return };
            let Some(to) = function(&defs[at]).filter(|to| wanted(&from, to)) else { return };
            let function = other(from.clone(), to);
            match links.iter_mut().find(|link| link.function == function) {
                Some(link) => link.places.push(call.name.span),
                None => links.push(Link { function, places: vec![call.name.span] }),
            }
        });
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{completion, hover, navigation};
    use crate::testing::with_named;

    const TEXT: &str = "fs default() {\n\tbase \"3\"\n\trun \"make\" with option {\n\t\tdir \"/src\"\n\t}\n}\n\nfs base(string v) {\n\timage \"alpine:${v}\"\n}\n";

    fn marked(before: &str) -> String {
        let at = TEXT.find(before).unwrap() + before.len();
        format!("{}┃{}", &TEXT[..at], &TEXT[at..])
    }

    #[test]
    fn names_of_functions_and_parameters() {
        let places = |before: &str| {
            with_named("main.hlb", &marked(before), |view, offset| {
                let found = navigation::references(view, offset, true);
                found.into_iter().map(|span| view.file.lines().line(span.start)).collect::<Vec<_>>()
            })
        };
        assert_eq!(places("fs bas"), [2, 8]);
        assert_eq!(places("string v"), [8, 9]);
    }

    #[test]
    fn the_name_of_an_argument_is_that_of_its_parameter() {
        let text =
            "fs a() {\n\tb n=1 s=\"x\"\n}\nfs b(string s, int n) {\n\tmkdir s n\n}\nfs c(string n) {\n\timage n\n}\n";
        let marked = text.replacen("int n", "int n┃", 1);
        let lines = with_named("main.hlb", &marked, |view, offset| {
            let found = navigation::references(view, offset, true);
            found.into_iter().map(|span| view.file.lines().line(span.start)).collect::<Vec<_>>()
        });
        assert_eq!(lines, [2, 4, 5]);
    }

    #[test]
    fn what_is_bound_is_the_function_it_is_bound_in() {
        let text =
            "fs a() {\n\tout n=1\n}\nfs b(int n) {\n\trun \"x\" with option { mount scratch \"/o\" as out; }\n}\n";
        let called = with_named("main.hlb", &text.replacen("fs a", "fs a┃", 1), outgoing);
        assert_eq!(called.into_iter().map(|link| link.function.name).collect::<Vec<_>>(), ["b"]);
        let places = with_named("main.hlb", &text.replacen("int n", "int n┃", 1), |view, offset| {
            navigation::references(view, offset, true).len()
        });
        assert_eq!(places, 2);
    }

    #[test]
    fn a_primitive_is_the_one_that_is_wanted_where_it_stands() {
        let shown = |marked: &str| with_named("main.hlb", marked, |view, at| hover::hover(view, at).unwrap().text);
        let text = "fs a() {\n\tenv \"A\" \"b\"\n\trun \"x\" with option {\n\t\tenv \"A\" \"b\"\n\t}\n}\n";
        let step = shown(&text.replacen("\tenv", "\tenv┃", 1));
        let option = shown(&text.replacen("\t\tenv", "\t\tenv┃", 1));
        assert!(step.contains("fs env(") && !step.contains("option::run"), "{step}");
        assert!(option.contains("option::run env(") && !option.contains("fs env("), "{option}");
    }

    #[test]
    fn hovers() {
        let shown = |before: &str| {
            with_named("main.hlb", &marked(before), |view, offset| hover::hover(view, offset).unwrap().text)
        };
        assert!(shown("\tru").contains("fs run(variadic string arg)"), "{}", shown("\tru"));
        assert!(shown("\tbas").contains("fs base(string v)"), "{}", shown("\tbas"));
    }

    #[test]
    fn completion_knows_functions_primitives_and_parameters() {
        let labels = |text: &str| {
            let items = with_named("main.hlb", text, completion::complete);
            items.into_iter().map(|item| item.label).collect::<Vec<_>>()
        };
        assert_eq!(labels("fs default() {\n\tscr┃\n}\n"), ["scratch"]);
        assert_eq!(labels("fs mine() {\n\tmi┃\n}\n"), ["mine"]);
        assert!(labels("fs a(string place) {\n\trun pl┃\n}\n").contains(&"place".to_owned()));
    }

    #[test]
    fn who_calls_whom() {
        let name = |links: Vec<Link>| links.into_iter().map(|link| link.function.name).collect::<Vec<_>>();
        let calls = |before: &str| {
            with_named("main.hlb", &marked(before), |view, offset| {
                (name(incoming(view, offset)), name(outgoing(view, offset)))
            })
        };
        assert_eq!(calls("fs bas"), (vec!["default".to_owned()], vec![]));
        assert_eq!(calls("fs defa"), (vec![], vec!["base".to_owned()]));
    }
}
