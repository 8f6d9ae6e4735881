//! The steps of one result of a definition, as BuildKit's provenance has them: numbered from the inputs on, operations
//! without the digests of their inputs.
//!
//! parity: `solver/llbsolver/provenance/buildconfig.go` of BuildKit v0.32, which solves each result by itself: the vertex
//! that ends it is one without a platform.

use std::collections::BTreeMap;

use oci::Digest;
use prost::Message;
use serde_json::{Map, Value, json};

use crate::{DecodeError, Definition, VertexProblem, proto};

/// Attributes of sources that mean something in one session only.
const OF_SESSION: [&str; 2] = ["local.session", "local.unique"];

/// The steps of a result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// **Shape**: one entry for each, inputs first: `{"id":"step0","op":…,"inputs":["step0:0"]}`.
    pub definition: Vec<Value>,
    /// Their ids, by the digests of their vertices.
    pub digests: BTreeMap<Digest, String>,
    /// The texts they come from, and the places in them; `None` where there are none.
    pub source: Option<Value>,
}

/// The steps of an output, by its number among those of the definition. Scratch has none.
///
/// **Errors**: a vertex whose bytes are no operation, or whose inputs are missing.
pub fn steps(definition: &Definition, output: usize) -> Result<Steps, DecodeError> {
    let message = proto::Definition::decode(&*definition.to_bytes()).map_err(DecodeError::NotLlb)?;
    let all = Vertices::of(&message)?;
    let Some(end) = all.ends.get(output) else { return Ok(Steps::default()) };
    let mut steps = all.steps(end)?;
    let Some(source) = message.source.filter(|source| !source.infos.is_empty()) else { return Ok(steps) };
    let locations = source.locations.iter().filter_map(|(digest, found)| {
        let step = steps.digests.get(&Digest::parse(digest).ok()?)?;
        Some((step.clone(), json!(proto::Locations { locations: once(&found.locations) })))
    });
    let mut told = Map::new();
    let locations: BTreeMap<_, _> = locations.collect();
    if !locations.is_empty() {
        told.insert("locations".into(), json!(locations));
    }
    told.insert("infos".into(), source.infos.iter().map(info).collect::<Result<Value, _>>()?);
    steps.source = Some(told.into());
    Ok(steps)
}

/// Places, each once: what several results share has those of all of them.
fn once(locations: &[proto::Location]) -> Vec<proto::Location> {
    let mut distinct: Vec<proto::Location> = Vec::new();
    for location in locations {
        if !distinct.contains(location) {
            distinct.push(location.clone());
        }
    }
    distinct
}

/// A text, with the steps that read it.
fn info(info: &proto::SourceInfo) -> Result<Value, DecodeError> {
    let mut told = Map::new();
    for (key, text) in [("filename", &info.filename), ("language", &info.language)] {
        if !text.is_empty() {
            told.insert(key.into(), text.clone().into());
        }
    }
    if !info.data.is_empty() {
        told.insert("data".into(), oci::base64::encode(&info.data).into());
    }
    if let Some(definition) = &info.definition {
        let all = Vertices::of(definition)?;
        let steps = all.ends.first().map(|end| all.steps(end)).transpose()?.unwrap_or_default();
        if !steps.definition.is_empty() {
            told.insert("llbDefinition".into(), steps.definition.into());
            told.insert("digestMapping".into(), json!(steps.digests));
        }
    }
    Ok(told.into())
}

/// The operations of a definition.
struct Vertices {
    ops: BTreeMap<String, proto::Op>,
    /// Those that end its results.
    ends: Vec<proto::Op>,
}

impl Vertices {
    fn of(definition: &proto::Definition) -> Result<Self, DecodeError> {
        let mut vertices = Self { ops: BTreeMap::new(), ends: Vec::new() };
        for (position, bytes) in definition.def.iter().enumerate() {
            let digest = Digest::sha256(bytes);
            let malformed = |error| {
                let problem = VertexProblem::Malformed(error);
                DecodeError::Vertex { position, digest: digest.clone(), problem }
            };
            let op = proto::Op::decode(bytes.as_slice()).map_err(malformed)?;
            match op.op {
                None => vertices.ends.push(proto::Op { inputs: op.inputs, ..proto::Op::default() }),
                Some(_) => drop(vertices.ops.insert(digest.to_string(), op)),
            }
        }
        Ok(vertices)
    }

    fn steps(&self, end: &proto::Op) -> Result<Steps, DecodeError> {
        let mut steps = Steps::default();
        if end.inputs.is_empty() {
            return Ok(steps);
        }
        let last = Digest::sha256(&end.encode_to_vec());
        // Inputs before what they are of; a definition may be deeper than a stack.
        let mut open: Vec<(&str, &proto::Op, usize)> = vec![(last.as_str(), end, 0)];
        let mut order: Vec<(&str, &proto::Op)> = Vec::new();
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut seen: std::collections::BTreeSet<&str> = std::collections::BTreeSet::new();
        while let Some((digest, op, next)) = open.pop() {
            let Some(input) = op.inputs.get(next) else {
                numbers.insert(digest, order.len());
                order.push((digest, op));
                continue;
            };
            open.push((digest, op, next + 1));
            if seen.insert(&input.digest) {
                let found = self.ops.get_key_value(&input.digest).ok_or_else(|| missing(&last, &input.digest))?;
                open.push((found.0, found.1, 0));
            }
        }
        for (digest, op) in order {
            let id = format!("step{}", steps.definition.len());
            let inputs = op.inputs.iter().map(|input| format!("step{}:{}", numbers[&*input.digest], input.index));
            let mut step = Map::from_iter([("id".to_owned(), id.clone().into()), ("op".to_owned(), shown(op))]);
            let inputs: Vec<String> = inputs.collect();
            if !inputs.is_empty() {
                step.insert("inputs".into(), inputs.into());
            }
            steps.definition.push(step.into());
            steps.digests.extend(Digest::parse(digest).ok().map(|digest| (digest, id)));
        }
        Ok(steps)
    }
}

fn missing(last: &Digest, digest: &str) -> DecodeError {
    let problem = VertexProblem::MissingInput { digest: digest.to_owned() };
    DecodeError::Vertex { position: 0, digest: last.clone(), problem }
}

fn shown(op: &proto::Op) -> Value {
    let mut op = proto::Op { inputs: Vec::new(), ..op.clone() };
    if let Some(proto::op::Op::Source(source)) = &mut op.op {
        source.attrs.retain(|key, _| !OF_SESSION.contains(&key.as_str()));
    }
    serde_json::to_value(op).expect("a message is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, output: usize) -> Steps {
        let bytes = crate::encode_to_bytes(&crate::text::parse(text).unwrap()).unwrap();
        steps(&crate::decode(&bytes).unwrap().definition, output).unwrap()
    }

    #[test]
    fn inputs_come_first_and_what_is_of_another_result_does_not() {
        let text = "%0 = source \"docker-image://docker.io/library/a:1\"\n\
                    %1 = source \"local://context\" attrs={\"local.unique\": \"x\"}\n%2 = merge(%1, %0)\noutput %2\noutput %1";
        let both = of(text, 0);
        let said: Vec<String> = both.definition.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                r#"{"id":"step0","op":{"Op":{"source":{"identifier":"local://context"}},"constraints":{}}}"#,
                r#"{"id":"step1","op":{"Op":{"source":{"identifier":"docker-image://docker.io/library/a:1"}},"constraints":{}}}"#,
                r#"{"id":"step2","op":{"Op":{"merge":{"inputs":[{},{"input":1}]}},"constraints":{}},"inputs":["step0:0","step1:0"]}"#,
                r#"{"id":"step3","op":{"Op":{}},"inputs":["step2:0"]}"#,
            ]
        );
        assert_eq!(both.digests.len(), 4);
        assert_eq!(both.source, None);
        assert_eq!(of(text, 1).definition.len(), 2);
        let place = |line: i32| {
            let at = |line| Some(proto::Position { line, character: 0 });
            proto::Location { source_index: 0, ranges: vec![proto::Range { start: at(line), end: at(line) }] }
        };
        assert_eq!(once(&[place(2), place(1), place(2)]), [place(2), place(1)]);
        assert_eq!(of("output scratch", 0), Steps::default());
    }
}
