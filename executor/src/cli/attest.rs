//! `--attest`, `--provenance` and `--sbom`, as buildx has them: each is the option of a frontend.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use llb::scan::Scanner;

use super::RunArgs;
use crate::engine::host_platform;
use crate::exporters::boolean;
use crate::provenance::{self, Asked, Attrs, Image, OPTION};
use crate::{Attest, Error, Result, csv};

/// The type of an attestation that says how a result was made.
const PROVENANCE: &str = "provenance";
/// The type of one that says what is in it.
const SBOM: &str = "sbom";

/// The attestations that flags ask for, as options of a frontend: `attest:TYPE` with the attributes.
///
/// **Errors**: flags that cannot be read, types that there are not.
pub fn attestations(args: &RunArgs) -> Result<BTreeMap<String, String>> {
    let shorthands = [(PROVENANCE, &args.provenance), (SBOM, &args.sbom)];
    let shorthands = shorthands.iter().filter_map(|(kind, value)| Some(written_out(kind, value.as_deref()?)));
    let mut found = BTreeMap::new();
    for text in args.attest.iter().cloned().chain(shorthands) {
        let (kind, attrs) = parse(&text)?;
        if found.insert(kind.clone(), attrs).is_some() {
            return Err(Error::Invalid(format!("duplicate attestation type {kind}: --{kind} is short for --attest")));
        }
    }
    let options = found.into_iter().filter_map(|(kind, attrs)| Some((format!("{OPTION}{kind}"), attrs?)));
    Ok(options.collect())
}

/// The types that flags say something of, be it that there is to be none.
///
/// **Errors**: flags that cannot be read.
pub fn attested(args: &RunArgs) -> Result<BTreeSet<String>> {
    let short = [(PROVENANCE, &args.provenance), (SBOM, &args.sbom)];
    let short = short.into_iter().filter(|(_, value)| value.is_some()).map(|(kind, _)| Ok(kind.to_owned()));
    args.attest.iter().map(|text| Ok(parse(text)?.0)).chain(short).collect()
}

/// What `--provenance=VALUE` is short for.
fn written_out(kind: &str, value: &str) -> String {
    match value {
        "" => format!("type={kind},disabled=true"),
        // parity: buildx has no such words; who writes them means the mode.
        "min" | "max" => format!("type={kind},mode={value}"),
        _ => match boolean(kind, value) {
            Ok(is_on) => format!("type={kind},disabled={}", !is_on),
            Err(_) => format!("type={kind},{value}"),
        },
    }
}

/// Type and attributes of an attestation; without attributes when it is switched off.
pub fn parse(text: &str) -> Result<(String, Option<String>)> {
    let invalid = |why: &str| Error::Invalid(format!("attestation {text:?}: {why}"));
    let (mut kind, mut is_off, mut attrs) = (None, false, Vec::new());
    for field in csv::split(text) {
        match field.split_once('=') {
            Some(("type", name)) => kind = Some(name.to_lowercase()),
            Some(("disabled", value)) => is_off = boolean("disabled", value)?,
            Some(_) if field.contains(',') => attrs.push(format!("\"{field}\"")),
            Some(_) => attrs.push(field),
            None if field.is_empty() => {}
            None => return Err(invalid(&format!("{field} is no KEY=VALUE"))),
        }
    }
    let kind = kind.ok_or_else(|| invalid("it has no `type=`"))?;
    if ![PROVENANCE, SBOM].contains(&kind.as_str()) {
        return Err(invalid("the types are provenance and sbom"));
    }
    Ok((kind, (!is_off).then(|| attrs.join(","))))
}

/// What the options of a build ask for to be said of how its results were made.
///
/// **Errors**: attributes that there are not, attestations that nobody knows.
pub fn asked(frontend: &str, opts: &BTreeMap<String, String>) -> Result<Option<Asked>> {
    let mut wanted = provenance::options(opts);
    let attrs = wanted.remove(PROVENANCE).map(|attrs| Attrs::parse(&attrs)).transpose()?;
    wanted.remove(SBOM);
    if let Some(kind) = wanted.keys().next() {
        return Err(Error::Invalid(format!("unknown attestation type {kind:?}")));
    }
    Ok(attrs.map(|attrs| Asked {
        attrs,
        frontend: frontend.to_owned(),
        opts: opts.clone(),
        images: Vec::new(),
        locals: BTreeSet::new(),
    }))
}

/// What makes bills of materials, if the options of a build ask for them.
///
/// **Errors**: a generator that is no name of an image.
pub(super) fn scanner(opts: &BTreeMap<String, String>) -> Result<Option<Scanner>> {
    let wanted = provenance::options(opts).remove(SBOM);
    let parse = |attrs: String| {
        let fields: Vec<String> = csv::split(&attrs).into_iter().filter(|field| !field.is_empty()).collect();
        Scanner::parse(&fields, Arc::new(host_platform())).map_err(Error::Invalid)
    };
    wanted.map(parse).transpose()
}

/// What is asked for to be said of all results, with what the frontend looked at.
pub fn of_all(asked: Option<Asked>, images: Vec<Image>, locals: BTreeSet<String>) -> Vec<Attest> {
    let told = asked.map(|asked| Attest { asked: Arc::new(Asked { images, locals, ..asked }), part: None });
    told.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(attest: &[&str], provenance: Option<&str>, expected: &str) {
        let args = RunArgs {
            attest: attest.iter().map(|text| (*text).to_owned()).collect(),
            provenance: provenance.map(str::to_owned),
            ..RunArgs::default()
        };
        let shown = match attestations(&args) {
            Ok(options) => options.iter().map(|(key, attrs)| format!("{key} {attrs}")).collect::<Vec<_>>().join("; "),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{attest:?} {provenance:?}");
    }

    #[test]
    fn flags() {
        check(&[], None, "");
        check(&[], Some("true"), "attest:provenance ");
        check(&[], Some("false"), "");
        check(&[], Some("max"), "attest:provenance mode=max");
        check(&[], Some("mode=min,builder-id=me"), "attest:provenance mode=min,builder-id=me");
        check(&["type=provenance,mode=max"], None, "attest:provenance mode=max");
        check(&["type=provenance,\"builder-id=a,b\""], None, "attest:provenance \"builder-id=a,b\"");
        check(&["type=provenance,disabled=true", "type=sbom,disabled=1"], None, "");
        check(&["type=sbom,generator=x"], None, "attest:sbom generator=x");
        check(
            &["type=provenance"],
            Some("false"),
            "duplicate attestation type provenance: --provenance is short for --attest",
        );
        check(&["mode=max"], None, "attestation \"mode=max\": it has no `type=`");
        check(&["type=other"], None, "attestation \"type=other\": the types are provenance and sbom");
        check(&[], Some("most"), "attestation \"type=provenance,most\": most is no KEY=VALUE");
    }

    #[test]
    fn options() {
        let of = |key: &str, attrs: &str| {
            let found = asked("dockerfile.v0", &[(key.to_owned(), attrs.to_owned())].into());
            found.map(|asked| asked.map(|asked| asked.attrs.max)).map_err(|error| error.to_string())
        };
        assert_eq!(of("attest:provenance", ""), Ok(Some(true)));
        assert_eq!(of("build-arg:BUILDKIT_ATTEST_PROVENANCE", "mode=min"), Ok(Some(false)));
        assert_eq!(of("build-arg:A", "mode=min"), Ok(None));
        assert_eq!(of("attest:sbom", ""), Ok(None));
        assert_eq!(of("attest:other", ""), Err("unknown attestation type \"other\"".to_owned()));
        let scanner = |attrs: &str| {
            let found = scanner(&[("attest:sbom".to_owned(), attrs.to_owned())].into());
            found.map(|found| found.map(|found| (found.image, found.parameters))).map_err(|error| error.to_string())
        };
        let parameters = [("A".to_owned(), "b,c".to_owned())].into();
        assert_eq!(scanner("generator=x,\"A=b,c\""), Ok(Some(("docker.io/library/x:latest".to_owned(), parameters))));
        assert_eq!(scanner("generator="), Err("failed to parse sbom scanner : invalid reference format".to_owned()));
        assert_eq!(super::scanner(&[("attest:provenance".to_owned(), String::new())].into()).unwrap(), None);
    }
}
