//! Looks whether everything that the tags of a registry lead to is there, without any code of the client.

use std::{
    collections::{BTreeMap, HashSet},
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use polyarch::oci::digest_of;
use serde_json::Value;

use super::registry::{OCI_INDEX, OCI_MANIFEST};

/// How often something is asked for: docker-registry shows a tag that is being written as empty or missing.
const LOOKS: u32 = 20;

/// Walks through one registry. What was whole once is not read again: the registry forgets nothing.
pub(crate) struct Walk {
    address: String,
    whole: HashSet<(String, String)>,
}

impl Walk {
    pub(crate) fn through(address: &str) -> Self {
        Self { address: address.to_owned(), whole: HashSet::new() }
    }

    /// Reads every tag and all that it leads to, and returns the digests of the tags (`repository:tag`).
    ///
    /// # Panics
    /// When something is missing or is not what its digest or length says.
    pub(crate) fn all(&mut self) -> BTreeMap<String, String> {
        let mut tags = BTreeMap::new();
        for repository in self.names("_catalog?n=1000", "repositories") {
            for tag in self.names(&format!("{repository}/tags/list"), "tags") {
                let digest = self.document(&repository, &tag);
                tags.insert(format!("{repository}:{tag}"), digest);
            }
        }
        tags
    }

    fn names(&self, path: &str, key: &str) -> Vec<String> {
        // A repository without any tag has no list of them.
        let (status, body) = self.ask(path);
        if status == "404" {
            return Vec::new();
        }
        let list: Value = serde_json::from_slice(&body).expect("json");
        let names = list[key].as_array().map(Vec::as_slice).unwrap_or_default();
        names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
    }

    /// Reads an index or a manifest and returns its digest.
    fn document(&mut self, repository: &str, target: &str) -> String {
        let place = format!("{repository}/manifests/{target}");
        let bytes = self.get(&place).unwrap_or_else(|| panic!("{place} is missing"));
        let digest = digest_of(&bytes).to_string();
        assert!(!target.starts_with("sha256:") || target == digest, "{place} has the digest {digest}");
        if !self.whole.insert((repository.to_owned(), digest.clone())) {
            return digest;
        }
        let document: Value = serde_json::from_slice(&bytes).expect("json");
        let children = |key: &str| document[key].as_array().cloned().unwrap_or_default();
        for child in children("manifests") {
            let digest = child["digest"].as_str().expect("a digest");
            let bytes = self.get(&format!("{repository}/manifests/{digest}"));
            assert_eq!(bytes.map(|bytes| bytes.len() as u64), child["size"].as_u64(), "{repository} {child}");
            self.document(repository, digest);
        }
        for blob in children("layers").iter().chain(document.get("config")) {
            let digest = blob["digest"].as_str().expect("a digest");
            if self.whole.insert((repository.to_owned(), digest.to_owned())) {
                let bytes = self.get(&format!("{repository}/blobs/{digest}"));
                let found = bytes.map(|bytes| (digest_of(&bytes).to_string(), bytes.len() as u64));
                let said = blob["size"].as_u64().map(|size| (digest.to_owned(), size));
                assert_eq!(found, said, "{repository} {blob}");
            }
        }
        digest
    }

    /// What the registry has.
    fn get(&self, path: &str) -> Option<Vec<u8>> {
        let mut looks = (0..LOOKS).map(|look| {
            std::thread::sleep(Duration::from_millis(5) * look.min(1));
            self.ask(path)
        });
        looks.find_map(|(status, body)| (status == "200").then_some(body))
    }

    fn ask(&self, path: &str) -> (String, Vec<u8>) {
        let mut connection = TcpStream::connect(&self.address).expect("a connection");
        let accept = format!("Accept: {OCI_INDEX}, {OCI_MANIFEST}");
        write!(connection, "GET /v2/{path} HTTP/1.0\r\nHost: {}\r\n{accept}\r\n\r\n", self.address)
            .expect("asked");
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        (String::from_utf8_lossy(&answer[9..12]).into_owned(), answer.split_off(end + 4))
    }
}
