//! Text → graph.

use std::collections::BTreeMap;

use pest::error::{ErrorVariant, InputLocation, LineColLocation};
use pest::iterators::{Pair, Pairs};
use pest::{Parser as _, Token};

use super::args::{Args, At, Item, Kind, Value, error};
use super::{TextError, op};
use crate::{Edge, Graph, Location, Metadata, Node, NodeId, Output, Position, Range, SourceInfo};

#[derive(pest_derive::Parser)]
#[grammar = "../grammar/llb.pest"]
struct Grammar;

type Result<T> = std::result::Result<T, TextError>;

/// Rules within rules; a call within a call takes three, a definition within a definition five.
const MAX_DEPTH: usize = 256;

/// Parses the text form of a graph.
pub fn parse(text: &str) -> Result<Graph> {
    let mut pairs = Grammar::parse(Rule::graph, text).map_err(|error| syntax_error(text, error))?;
    refuse_depth(pairs.clone())?;
    let graph = pairs.next().expect("a parse of `graph` gives one");
    read_graph(first(graph))
}

/// Refuses texts that nest deeper than any graph does: reading recurses.
fn refuse_depth(pairs: Pairs<'_, Rule>) -> Result<()> {
    let mut depth = 0_usize;
    for token in pairs.tokens() {
        match token {
            Token::End { .. } => depth -= 1,
            Token::Start { pos, .. } if depth == MAX_DEPTH => return error(pos.line_col(), "nested too deeply"),
            Token::Start { .. } => depth += 1,
        }
    }
    Ok(())
}

fn syntax_error(text: &str, error: pest::error::Error<Rule>) -> TextError {
    let (LineColLocation::Pos((line, column)) | LineColLocation::Span((line, column), _)) = error.line_col;
    let (InputLocation::Pos(offset) | InputLocation::Span((offset, _))) = error.location;
    let in_string =
        matches!(&error.variant, ErrorVariant::ParsingError { positives, .. } if positives.contains(&Rule::plain));
    let message = match in_string {
        true if text[offset..].starts_with('\\') => {
            r#"unknown escape: expected \", \\, \n, \r, \t or \u{…}"#.to_owned()
        }
        true => "the string does not end on its line".to_owned(),
        false => error.renamed_rules(|rule| describe(*rule)).variant.message().into_owned(),
    };
    TextError { line, column, message }
}

/// A rule of the grammar as people call it.
fn describe(rule: Rule) -> String {
    match rule {
        Rule::EOI | Rule::statements => "the end".to_owned(),
        Rule::id | Rule::edge => "%n".to_owned(),
        Rule::item | Rule::pair => "an argument".to_owned(),
        Rule::word | Rule::call => "a word".to_owned(),
        Rule::equals => "=".to_owned(),
        Rule::close => ")".to_owned(),
        Rule::close_list => "]".to_owned(),
        Rule::close_map => "}".to_owned(),
        rule => format!("{rule:?}"),
    }
}

/// The parts of a pair that mean something.
fn parts_of(pair: Pair<'_, Rule>) -> impl Iterator<Item = Pair<'_, Rule>> {
    let is_punctuation = |rule| matches!(rule, Rule::equals | Rule::close | Rule::close_list | Rule::close_map);
    pair.into_inner().filter(move |part| !is_punctuation(part.as_rule()))
}

fn first(pair: Pair<'_, Rule>) -> Pair<'_, Rule> {
    parts_of(pair).next().expect("the rule has a first part")
}

/// A graph in the making.
#[derive(Default)]
struct Reader {
    graph: Graph,
    /// Index of each node by its number in the text.
    numbers: BTreeMap<u32, NodeId>,
    /// What the lines that begin with `!` and `@` speak of.
    subject: Subject,
}

#[derive(Clone, Copy, Default)]
enum Subject {
    #[default]
    Nothing,
    Node,
    Output,
}

fn read_graph(statements: Pair<'_, Rule>) -> Result<Graph> {
    let mut reader = Reader::default();
    for statement in parts_of(statements) {
        reader.statement(statement)?;
    }
    Ok(reader.graph)
}

impl Reader {
    fn statement(&mut self, statement: Pair<'_, Rule>) -> Result<()> {
        match statement.as_rule() {
            Rule::vertex => self.vertex(statement),
            Rule::output => self.output(statement),
            Rule::text => self.text(statement),
            Rule::meta => self.meta(statement),
            _ => self.location(statement),
        }
    }

    fn vertex(&mut self, pair: Pair<'_, Rule>) -> Result<()> {
        let mut parts = parts_of(pair).peekable();
        let id = parts.next().expect("a vertex has a number");
        let name = parts.next().expect("a vertex has an operation");
        let inputs = match parts.next_if(|part| part.as_rule() == Rule::inputs) {
            Some(inputs) => parts_of(inputs).map(|edge| self.edge(edge)).collect::<Result<Vec<_>>>()?,
            None => Vec::new(),
        };
        let args = Args::new(at(&name), parts.map(item).collect::<Result<_>>()?);
        let op::Parts { op, platform, constraints, lossy, fixed } =
            op::read(at(&name), name.as_str(), inputs.len(), args)?;
        let number = digits(&id, &id.as_str()[1..])?;
        if self.numbers.last_key_value().is_some_and(|(&last, _)| last >= number) {
            return error(at(&id), "numbers of vertices must ascend");
        }
        let platform = platform.map(Into::into);
        let node = Node { platform, constraints, lossy, fixed, ..Node::new(op, inputs) };
        self.numbers.insert(number, self.graph.add(node));
        self.subject = Subject::Node;
        Ok(())
    }

    fn output(&mut self, pair: Pair<'_, Rule>) -> Result<()> {
        let start = at(&pair);
        let mut parts = parts_of(pair);
        let result = parts.next().expect("an output has a result");
        let edge = match result.as_rule() {
            Rule::scratch => None,
            _ => Some(self.edge(result)?),
        };
        let platform = op::read_platform(Args::new(start, parts.map(item).collect::<Result<_>>()?))?;
        self.graph.outputs.push(Output { edge, platform, meta: Metadata::default() });
        self.subject = Subject::Output;
        Ok(())
    }

    fn text(&mut self, pair: Pair<'_, Rule>) -> Result<()> {
        let start = at(&pair);
        let mut items = Vec::new();
        let mut definition = None;
        for part in parts_of(pair) {
            match part.as_rule() {
                Rule::string => items.push(Item { at: at(&part), name: None, value: value(part)? }),
                Rule::definition => definition = Some(Box::new(read_graph(first(part))?)),
                _ => items.push(item(part)?),
            }
        }
        let mut args = Args::new(start, items);
        self.graph.sources.push(SourceInfo {
            filename: args.next_string("a file name is")?,
            language: args.string("language")?,
            data: args.bytes("data")?.unwrap_or_default().into(),
            definition,
        });
        self.subject = Subject::Nothing;
        args.end()
    }

    fn meta(&mut self, pair: Pair<'_, Rule>) -> Result<()> {
        let start = at(&pair);
        let meta = op::read_meta(Args::new(start, parts_of(pair).map(item).collect::<Result<_>>()?))?;
        let place = match self.subject {
            Subject::Nothing => None,
            Subject::Node => self.graph.nodes.last_mut().map(|node| &mut node.meta),
            Subject::Output => self.graph.outputs.last_mut().map(|output| &mut output.meta),
        };
        let Some(place) = place else { return error(start, "there is no vertex or output above") };
        *place = meta;
        Ok(())
    }

    fn location(&mut self, pair: Pair<'_, Rule>) -> Result<()> {
        let start = at(&pair);
        let mut parts = parts_of(pair);
        let source = value(parts.next().expect("a location has a text"))?.number()?;
        let ranges = parts.map(range).collect::<Result<_>>()?;
        let (Subject::Node, Some(node)) = (self.subject, self.graph.nodes.last_mut()) else {
            return error(start, "there is no vertex above");
        };
        node.locations.push(Location { source, ranges });
        Ok(())
    }

    fn edge(&self, pair: Pair<'_, Rule>) -> Result<Edge> {
        let name = &pair.as_str()[1..];
        let (number, index) = name.split_once('.').unwrap_or((name, "0"));
        match self.numbers.get(&digits(&pair, number)?) {
            Some(&node) => Ok(Edge { node, index: digits(&pair, index)? }),
            None => error(at(&pair), format!("%{number} is not defined above")),
        }
    }
}

fn at(pair: &Pair<'_, Rule>) -> At {
    pair.line_col()
}

fn digits(pair: &Pair<'_, Rule>, digits: &str) -> Result<u32> {
    digits.parse().or_else(|_| error(at(pair), "number out of range"))
}

fn range(pair: Pair<'_, Rule>) -> Result<Range> {
    let mut ends = parts_of(pair).map(|end| {
        let mut numbers = parts_of(end).map(|number| value(number)?.number());
        let line = numbers.next().expect("a position has a line")?;
        Ok(Position { line, character: numbers.next().transpose()?.unwrap_or_default() })
    });
    let start = ends.next().expect("a range has a start")?;
    Ok(Range { start, end: ends.next().transpose()?.unwrap_or(start) })
}

fn item(pair: Pair<'_, Rule>) -> Result<Item> {
    let at = at(&pair);
    let inner = first(pair);
    if inner.as_rule() != Rule::pair {
        return Ok(Item { at, name: None, value: value(inner)? });
    }
    let mut parts = parts_of(inner);
    let name = parts.next().expect("a pair has a name").as_str().to_owned();
    Ok(Item { at, name: Some(name), value: value(parts.next().expect("a pair has a value"))? })
}

fn value(pair: Pair<'_, Rule>) -> Result<Value> {
    let at = at(&pair);
    let kind = match pair.as_rule() {
        Rule::string => Kind::String(string(pair)?),
        Rule::base64 => match oci::base64::decode(&string(first(pair))?) {
            Some(bytes) => Kind::Bytes(bytes),
            None => return error(at, "not base64"),
        },
        Rule::number => Kind::Number(number(pair.as_str()).map_or_else(|| error(at, "number out of range"), Ok)?),
        Rule::action => Kind::Action(number(&pair.as_str()[1..]).map_or_else(|| error(at, "number out of range"), Ok)?),
        Rule::list => Kind::List(parts_of(pair).map(value).collect::<Result<_>>()?),
        Rule::map => Kind::Map(map(pair)?),
        Rule::call => {
            let mut parts = parts_of(pair);
            let name = parts.next().expect("a call has a name").as_str().to_owned();
            let arguments = parts.next().expect("a call has arguments");
            Kind::Call(name, Args::new(at, parts_of(arguments).map(item).collect::<Result<_>>()?))
        }
        _ => Kind::Word(pair.as_str().to_owned()),
    };
    Ok(Value { at, kind })
}

fn map(pair: Pair<'_, Rule>) -> Result<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    for entry in parts_of(pair) {
        let start = at(&entry);
        let mut parts = parts_of(entry);
        let key = string(parts.next().expect("an entry has a key"))?;
        let value = string(parts.next().expect("an entry has a value"))?;
        if map.insert(key, value).is_some() {
            return error(start, "repeated key");
        }
    }
    Ok(map)
}

fn number(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    match digits.strip_prefix("0o") {
        Some(octal) => i64::from_str_radix(&format!("{sign}{octal}"), 8).ok(),
        None => text.parse().ok(),
    }
}

fn string(pair: Pair<'_, Rule>) -> Result<String> {
    let mut text = String::new();
    for piece in parts_of(pair) {
        if piece.as_rule() == Rule::plain {
            text.push_str(piece.as_str());
            continue;
        }
        match &piece.as_str()[1..] {
            "n" => text.push('\n'),
            "r" => text.push('\r'),
            "t" => text.push('\t'),
            same @ ("\"" | "\\") => text.push_str(same),
            code => match code
                .trim_matches(['u', '{', '}'])
                .chars()
                .try_fold(0, |sum, c| Some(sum * 16 + c.to_digit(16)?))
                .and_then(char::from_u32)
            {
                Some(c) => text.push(c),
                None => return error(at(&piece), "not a character"),
            },
        }
    }
    Ok(text)
}
