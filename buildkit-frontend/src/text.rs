//! The text of a build: found by the options, read through the builder.

use ast::Source;
use compiler::plan::{self, Entry, Found};
use compiler::{Facts, World};
use gateway::Status;
use gateway::message::{FileRange, ReadFileRequest, SourceInfo};
use oci::Digest;

use crate::session::{Session, encode, plain_solve, solve};
use crate::status;
use crate::world::Outside;

/// A text, and where it came from.
pub(crate) struct Text {
    /// Its bytes, by its name.
    pub(crate) source: Source,
    /// The local source that holds it, if it may be one.
    pub(crate) local: String,
    /// The solved filesystem it is in.
    pub(crate) reference: String,
    /// The definition of that, encoded.
    pub(crate) definition: Vec<u8>,
    /// The vertex that warnings are shown at.
    pub(crate) vertex: Option<Digest>,
    /// What was asked to find it.
    pub(crate) facts: Facts,
}

impl Text {
    /// Finds and reads the text.
    pub(crate) fn read(session: &Session<'_>) -> Result<Self, Status> {
        let (entry, facts) = find(session)?;
        let (encoded, digests) = encode(&session.options, &entry.graph).map_err(|error| status::unknown(&error))?;
        let definition = encoded.to_bytes();
        let head = entry.graph.outputs.first().and_then(|output| output.edge);
        let vertex = head.and_then(|edge| digests[edge.node.0 as usize].clone());
        let request = llb_solve(&definition);
        let calls = session.bridge.calls();
        let read = async |names: &[String]| {
            let reference =
                solve(calls, &request).await.map_err(|status| status.context("failed to resolve dockerfile"))?;
            Ok::<_, Status>((read_first(calls, &reference, names).await?, reference))
        };
        let (bytes, reference) = session.bridge.wait(read(&entry.names))?;
        let name = entry.names.into_iter().next().unwrap_or_default();
        Ok(Self { source: Source::new(name, bytes), local: entry.local, reference, definition, vertex, facts })
    }

    /// The text as errors and warnings carry it.
    pub(crate) fn info(&self, language: &str) -> SourceInfo {
        SourceInfo {
            filename: self.source.name.clone(),
            data: self.source.bytes.to_vec(),
            definition: self.definition.clone(),
            language: language.to_owned(),
        }
    }
}

fn llb_solve(definition: &[u8]) -> gateway::message::SolveRequest {
    gateway::message::SolveRequest { definition: definition.to_vec(), ..plain_solve() }
}

fn find(session: &Session<'_>) -> Result<(Entry, Facts), Status> {
    let mut facts = Facts::default();
    // What is on the web is looked at once; then nothing is open.
    for _ in 0..2 {
        match plan::entry(&session.options, &facts) {
            Found::Entry(entry) => return Ok((entry, facts)),
            Found::Refused(diagnostic) => return Err(status::unknown(&diagnostic.message)),
            Found::Open(questions) => {
                let questions: Vec<_> = questions.into_iter().collect();
                let answers = Outside::new(session, None).answer(&questions);
                if let Some(error) = answers.iter().find_map(|answer| answer.as_ref().err()) {
                    return Err(status::unknown(&error.message).context("failed to read downloaded context"));
                }
                facts.answers.extend(questions.into_iter().zip(answers));
            }
        }
    }
    Err(status::unknown(&"the place of the build file stays unknown"))
}

/// The first file that is there; the error is that of the first name.
async fn read_first(calls: &gateway::Calls, reference: &str, names: &[String]) -> Result<Vec<u8>, Status> {
    let mut failed = None;
    for name in names {
        match read_file(calls, reference, name, None).await {
            Ok(bytes) => return Ok(bytes),
            Err(status) => drop(failed.get_or_insert(status)),
        }
    }
    Err(failed.expect("a text has a name").context("failed to read dockerfile"))
}

/// Reads a file of a solved filesystem, or a part of it.
pub(crate) async fn read_file(
    calls: &gateway::Calls,
    reference: &str,
    path: &str,
    range: Option<FileRange>,
) -> Result<Vec<u8>, Status> {
    let request = ReadFileRequest { r#ref: reference.to_owned(), file_path: path.to_owned(), range };
    Ok(calls.call(&request).await?.data)
}
