//! A scanner for bills of materials: a shell script in busybox, which writes down what it is given.

use crate::Sandbox;

/// Its build file: `base` becomes what it is built on. A tree with a file `/leave` decides what it leaves.
const BUILD: &str = r#"FROM base
ENV PATH=/bin
ENTRYPOINT ["/bin/sh", "-c"]
COPY <<'EOS' /scan
set -e
test "$(pwd)" = /scratch
if touch /run/src/core/sbom/x 2>/dev/null; then exit 9; fi
touch /tmp/x
for tree in "$BUILDKIT_SCAN_SOURCE" ${BUILDKIT_SCAN_SOURCE_EXTRAS:+"$BUILDKIT_SCAN_SOURCE_EXTRAS"/*}; do
  name=${tree##*/}
  files= ; number=0
  for file in $(cd "$tree" && find . -type f | sort | grep -v '^./\(dev\|proc\|sys\|etc\)/' | cut -c2-); do
    number=$((number + 1))
    files="$files${files:+,}{\"SPDXID\":\"SPDXRef-$number\",\"fileName\":\"$file\",\"licenseConcluded\":\"NOASSERTION\",\"copyrightText\":\"NOASSERTION\",\"checksums\":[{\"algorithm\":\"SHA1\",\"checksumValue\":\"$number\"}]}"
  done
  env=$(env | grep ^BUILDKIT_SCAN_ | sort | tr '\n' ' ')
  cat > "$BUILDKIT_SCAN_DESTINATION/$name.spdx.json" <<EOD
{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","predicate":{
"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"$name","documentNamespace":"https://example.com/x",
"comment":"$env","creationInfo":{"creators":["Tool: script"],"created":"2020-01-01T00:00:00Z"},
"files":[$files]}}
EOD
done
if test -e "$BUILDKIT_SCAN_SOURCE/leave"; then . "$BUILDKIT_SCAN_SOURCE/leave"; fi
EOS
WORKDIR /scratch
CMD [". /scan"]
"#;

/// Builds the scanner on an image as an image of a name, with the flags that say where it goes.
pub fn build(sandbox: &Sandbox, base: &str, flags: &str) {
    sandbox.write("scanner/Dockerfile", &BUILD.replacen("base", base, 1));
    sandbox.succeed(&mut sandbox.shell(&format!("llbc build {flags} scanner")));
}
