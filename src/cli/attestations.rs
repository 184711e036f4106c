//! The arguments about attestations.

use std::collections::BTreeMap;

use clap::Args;

use super::options::fields;
use crate::Attestations;

/// Which attestations are made.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct AttestationArgs {
    /// Say in the index how each image was built: "true", "false", or "mode=min|max[,builder-id=ID][,reproducible=true]
    /// [,inline-only=true]"; min leaves build arguments, labels and the Dockerfile out [default mode: max]
    #[arg(long, value_name = "BOOL|OPTIONS", value_parser = provenance)]
    provenance: Option<String>,
    /// List in the index the packages of each image: "true" or "false"
    #[arg(long, value_name = "BOOL", value_parser = sbom)]
    sbom: Option<String>,
    /// An attestation: "type=provenance[,mode=min|max]" or "type=sbom"; with disabled=true none is made
    #[arg(long, value_name = "ATTESTATION", value_parser = attestation)]
    attest: Vec<String>,
}

impl AttestationArgs {
    /// What is asked for.
    pub(super) fn attestations(&self) -> Result<Attestations, String> {
        read(self.words().map(|(_, value)| value))
    }

    /// What is asked for as `--attest` takes it, in pairs.
    pub(super) fn words(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = self.attest.iter().chain(&self.provenance).chain(&self.sbom);
        all.map(|attestation| ("--attest", attestation.as_str()))
    }
}

fn provenance(text: &str) -> Result<String, String> {
    attestation(&canonical("provenance", text))
}

fn sbom(text: &str) -> Result<String, String> {
    attestation(&canonical("sbom", text))
}

fn attestation(text: &str) -> Result<String, String> {
    read([text]).map(|_| text.to_owned())
}

fn read<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Attestations, String> {
    let read: Vec<BTreeMap<String, String>> = texts.into_iter().map(fields).collect::<Result<_, _>>()?;
    Attestations::read(&read).map_err(|error| error.to_string())
}

/// The value of a flag of its own as `--attest` takes it.
///
/// Source: buildx, `util/buildflags/attests.go` (`CanonicalizeAttest`).
fn canonical(kind: &str, text: &str) -> String {
    match text {
        "true" | "1" => format!("type={kind}"),
        "false" | "0" => format!("type={kind},disabled=true"),
        options => format!("type={kind},{options}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::ProvenanceMode;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        attestations: AttestationArgs,
    }

    fn read(arguments: &[&str]) -> Result<Attestations, String> {
        let arguments = ["build"].iter().chain(arguments);
        let read = Arguments::try_parse_from(arguments).map_err(|error| error.to_string())?;
        read.attestations.attestations()
    }

    #[test]
    fn a_flag_of_its_own_is_short_for_attest() {
        for (one, other) in [
            (&["--provenance=true"][..], &["--attest=type=provenance"][..]),
            (
                &["--provenance", "mode=min,builder-id=x"],
                &["--attest", "type=provenance,mode=min,builder-id=x"],
            ),
            (&["--provenance=mode=max", "--sbom=true"], &["--attest=type=sbom", "--attest=type=provenance"]),
            (&["--provenance=false", "--sbom=0"], &["--attest=type=sbom,disabled=true"]),
        ] {
            let (one, other) = (read(one).expect("arguments"), read(other).expect("arguments"));
            assert_eq!(one, other);
        }
        assert!(read(&[]).expect("nothing").is_empty());
        let mode =
            |arguments: &[&str]| read(arguments).expect("arguments").provenance.map(|asked| asked.mode);
        assert_eq!(mode(&["--provenance=mode=min"]), Some(ProvenanceMode::Min));
        assert_eq!(mode(&["--sbom=true"]), None);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        for (arguments, reason) in [
            (&["--provenance=perhaps"][..], "\"perhaps\" is not KEY=VALUE"),
            (&["--provenance=version=v0.2"], "version v1 of SLSA"),
            (&["--sbom=generator=image"], "without an image that scans"),
            (&["--attest=mode=max"], "type of the attestation is missing"),
            (&["--attest=type=sbom", "--sbom=true"], "sbom is asked for twice"),
        ] {
            let error = read(arguments).expect_err("refused");
            assert!(error.contains(reason), "{arguments:?}: {error}");
        }
    }
}
