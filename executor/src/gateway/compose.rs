//! What a frontend returned, as one definition: the results put together, the image configs on their terminal vertices.

use llb::{Graph, Output};
use oci::Platform;

use super::platforms::{self, Named};
use super::{Results, Returned};
use crate::exporters::{Attached, is_annotation};
use crate::{Error, Result};

/// Keys of what a frontend says of a result, and of the description that says the same to [`crate::Engine`].
const DESCRIBED: &[(&str, &str)] = &[
    ("containerimage.config", "containerimage.config"),
    ("containerimage.base.config", "containerimage.base.config"),
    ("source.date.epoch", "source-date-epoch"),
    ("image.name", "image.name"),
];

/// Most trees and files of what it says of its results: a few for each of many platforms.
const MAX_SAID: usize = 256;

/// The bytes of the definition.
///
/// **Errors**: results without a platform, a list of platforms that cannot be read.
pub fn compose(returned: &Returned) -> Result<Vec<u8>> {
    encode(&results(returned)?)
}

/// The same with what the frontend says of the results, in outputs behind them.
///
/// **Errors**: also what cannot be said.
pub fn compose_attested(returned: &Returned) -> Result<(Vec<u8>, Vec<Attached>)> {
    let mut graph = results(returned)?;
    let mut attached = Vec::new();
    let count: usize = returned.said_of.values().map(Vec::len).sum();
    if count > MAX_SAID {
        return Err(Error::Invalid(format!("the frontend returned {count} attestations: {MAX_SAID} is the most")));
    }
    for (of, id) in platforms::ids(returned)?.iter().enumerate().take(graph.outputs.len()) {
        for said in returned.said_of.get(id).into_iter().flatten() {
            attached.push(said.attached(of)?);
            let decoded = llb::decode(&said.definition).map_err(|error| Error::Definition(error.to_string()))?;
            let edge = graph.graft(&decoded.graph);
            graph.outputs.push(Output { edge, ..Output::default() });
        }
    }
    Ok((encode(&graph)?, attached))
}

fn encode(graph: &Graph) -> Result<Vec<u8>> {
    llb::encode_to_bytes(graph).map_err(|error| Error::Definition(error.to_string()))
}

fn results(returned: &Returned) -> Result<Graph> {
    let platforms = platforms::of(returned)?;
    let mut graph = Graph::default();
    match &returned.results {
        Results::None => graph.outputs.push(Output::default()),
        Results::One(definition) => {
            let platform = platforms.first().map(|named| &named.platform);
            add(&mut graph, definition, platform, returned, "", false)?;
        }
        Results::Many(all) => {
            if let Some(id) = all.keys().find(|id| platforms.iter().all(|named| named.id != **id)) {
                return Err(Error::Invalid(format!("the frontend does not say what result {id:?} runs on")));
            }
            for Named { id, platform } in &platforms {
                let Some(definition) = all.get(id) else {
                    return Err(Error::Invalid(format!("failed to find ref for ID {id}")));
                };
                add(&mut graph, definition, Some(platform), returned, &format!("/{id}"), true)?;
            }
        }
    }
    Ok(graph)
}

fn add(
    graph: &mut Graph,
    definition: &[u8],
    platform: Option<&Platform>,
    returned: &Returned,
    suffix: &str,
    listed: bool,
) -> Result<()> {
    let decoded = llb::decode(definition).map_err(|error| Error::Definition(error.to_string()))?;
    let edge = graph.graft(&decoded.graph);
    let mut output = Output { edge, platform: platform.filter(|_| listed).cloned(), ..Output::default() };
    let description = &mut output.meta.description;
    for (key, name) in DESCRIBED {
        let said = returned.metadata.get(&format!("{key}{suffix}")).or_else(|| returned.metadata.get(*key));
        description.extend(said.map(|value| (*name, String::from_utf8_lossy(value).into_owned())));
    }
    let annotations = returned.metadata.iter().filter(|(key, _)| is_annotation(key));
    description.extend(annotations.map(|(key, value)| (key.clone(), String::from_utf8_lossy(value).into_owned())));
    description.extend(platform.map(|platform| ("platform", platform.to_string())));
    description.extend(listed.then(|| ("multi-platform", "true".to_owned())));
    graph.outputs.push(output);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ::gateway::message::{Attestation, AttestationKind};

    use super::platforms::PLATFORMS;
    use super::*;
    use crate::gateway::Said;

    fn definition(name: &str) -> Vec<u8> {
        let text = format!("%0 = source \"local://{name}\"\noutput %0");
        llb::encode_to_bytes(&llb::text::parse(&text).unwrap()).unwrap()
    }

    fn returned(results: Results, metadata: &[(&str, &str)]) -> Returned {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        Returned { results, metadata, ..Returned::default() }
    }

    const TWO: &str = r#"{"Platforms":[{"ID":"linux/arm64","Platform":{"architecture":"arm64","os":"linux"}},{"ID":"linux/amd64","Platform":{"architecture":"amd64","os":"linux"}}]}"#;

    #[test]
    fn one_result_is_described() {
        let metadata = [("containerimage.config", "{}"), ("source.date.epoch", "7"), (PLATFORMS, TWO)];
        let bytes = compose(&returned(Results::One(definition("a")), &metadata)).unwrap();
        let graph = llb::decode(&bytes).unwrap().graph;
        let description = &graph.outputs[0].meta.description;
        assert_eq!(description["containerimage.config"], "{}");
        assert_eq!(description["source-date-epoch"], "7");
        assert_eq!(description["platform"], "linux/arm64");
        assert!(description.get("multi-platform").is_none());
    }

    #[test]
    fn annotations_are_those_of_every_result() {
        let all = ["linux/amd64", "linux/arm64"].map(|id| (id.to_owned(), definition(id))).into();
        let metadata = [("annotation-index.a", "1"), ("annotation[linux/arm64].b", "2"), (PLATFORMS, TWO)];
        let bytes = compose(&returned(Results::Many(all), &metadata)).unwrap();
        for output in llb::decode(&bytes).unwrap().graph.outputs {
            let description = &output.meta.description;
            assert_eq!((&*description["annotation-index.a"], &*description["annotation[linux/arm64].b"]), ("1", "2"));
        }
    }

    #[test]
    fn a_list_of_one_says_that_it_is_a_list_and_how_it_is_called() {
        const ONE: &str = r#"{"Platforms":[{"ID":"x","Platform":{"architecture":"arm64","os":"linux"}}]}"#;
        let all = BTreeMap::from([("x".to_owned(), definition("a"))]);
        let bytes = compose(&returned(Results::Many(all), &[(PLATFORMS, ONE), ("image.name", "n")])).unwrap();
        let graph = llb::decode(&bytes).unwrap().graph;
        let description = &graph.outputs[0].meta.description;
        assert_eq!((&*description["multi-platform"], &*description["image.name"]), ("true", "n"));
    }

    #[test]
    fn several_results_have_their_platforms_and_configs() {
        let all = [("linux/amd64", "a"), ("linux/arm64", "b")];
        let all = all.into_iter().map(|(id, name)| (id.to_owned(), definition(name))).collect();
        let metadata = [("containerimage.config/linux/arm64", r#"{"arm":1}"#), (PLATFORMS, TWO)];
        let bytes = compose(&returned(Results::Many(all), &metadata)).unwrap();
        let outputs = llb::decode(&bytes).unwrap().graph.outputs;
        let platforms: Vec<_> = outputs.iter().map(|output| &*output.meta.description["platform"]).collect();
        assert_eq!(platforms, ["linux/arm64", "linux/amd64"], "as the frontend lists them");
        let arm = outputs.iter().find(|output| output.meta.description["platform"] == "linux/arm64").unwrap();
        assert_eq!(arm.meta.description["containerimage.config"], r#"{"arm":1}"#);
    }

    #[test]
    fn what_is_said_of_results_comes_behind_them() {
        let all = [("linux/amd64", "a"), ("linux/arm64", "b")];
        let all = all.into_iter().map(|(id, name)| (id.to_owned(), definition(name))).collect();
        let said = |name: &str| {
            let message = Attestation { kind: AttestationKind::Bundle.into(), ..Attestation::default() };
            vec![Said { message, definition: definition(name) }]
        };
        let said_of = [("linux/amd64", "of a"), ("linux/arm64", "of b"), ("other", "of c")];
        let said_of = said_of.map(|(id, name)| (id.to_owned(), said(name))).into();
        let (bytes, attached) =
            compose_attested(&Returned { said_of, ..returned(Results::Many(all), &[(PLATFORMS, TWO)]) }).unwrap();
        assert_eq!(attached.iter().map(|attached| attached.of).collect::<Vec<_>>(), [0, 1]);
        let graph = llb::decode(&bytes).unwrap().graph;
        let sources: Vec<String> = graph
            .outputs
            .iter()
            .map(|output| match &graph.nodes[output.edge.unwrap().node.0 as usize].op {
                llb::Op::Source(source) => source.identifier.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sources, ["local://b", "local://a", "local://of b", "local://of a"]);
        // Of one that nobody lists, by what its config runs on.
        let said_of = BTreeMap::from([("linux/s390x".to_owned(), said("d"))]);
        let config = [("containerimage.config", r#"{"os":"linux","architecture":"s390x"}"#)];
        let alone = Returned { said_of, ..returned(Results::One(definition("a")), &config) };
        let too_many = vec![said("d").remove(0); MAX_SAID + 1];
        let too_many = Returned { said_of: [("linux/s390x".to_owned(), too_many)].into(), ..alone.clone() };
        let refused = compose_attested(&too_many).unwrap_err().to_string();
        assert_eq!(refused, "the frontend returned 257 attestations: 256 is the most");
        assert_eq!(compose_attested(&alone).unwrap().1.len(), 1);
        assert_eq!(llb::decode(&compose(&alone).unwrap()).unwrap().graph.outputs.len(), 1);
    }

    #[test]
    fn what_a_frontend_says_for_the_metadata() {
        let metadata =
            [("frontend.x", "1"), ("not-frontend.x", "2"), ("frontendx", "3"), ("containerimage.config", "{}")];
        let said = returned(Results::None, &metadata).said();
        assert_eq!(serde_json::to_string(&said).unwrap(), r#"{"frontend.x":"1"}"#);
    }

    #[test]
    fn what_cannot_be_put_together() {
        let all = BTreeMap::from([("x".to_owned(), definition("a"))]);
        let error = compose(&returned(Results::Many(all), &[])).unwrap_err();
        assert_eq!(error.to_string(), "the frontend does not say what result \"x\" runs on");
        let error = compose(&returned(Results::One(Vec::new()), &[(PLATFORMS, "[")])).unwrap_err();
        assert!(error.to_string().starts_with("failed to parse platforms"), "{error}");
    }
}
