//! Facts about a running build, in the past tense.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{
    BackendId, BuildError, BuildId, BuiltImage, Descriptor, Digest, Platform, RuledOut, StepStage, StepWork,
    queue::Reason, version::ProtocolVersion,
};

/// One fact about a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildEvent {
    /// The version of this message's form.
    pub version: ProtocolVersion,
    /// The build.
    pub build: BuildId,
    /// The platform, where the fact is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Counts the events of the build from 0, without a gap.
    pub sequence: u64,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time now, by the machine's clock.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
#[non_exhaustive]
pub enum EventKind {
    /// The build began.
    Started,
    /// The platform waits for its turn. It is told again when its place has changed, but not more often than every
    /// second.
    Queued {
        /// How many others will have what it waits for before it does, if nothing new comes.
        ahead: usize,
        /// What it waits for.
        #[serde(default)]
        reason: Reason,
    },
    /// The platform was given to a backend.
    Routed {
        /// The backend.
        backend: BackendId,
        /// Whether RUN steps are emulated.
        emulated: bool,
        /// Why this one.
        reason: String,
        /// The others, and why not.
        ruled_out: Vec<RuledOut>,
    },
    /// The backend took the platform: what was waiting for a slot waits no more.
    Assigned {
        /// Counts the attempts from 1.
        attempt: u32,
    },
    /// Fetching a base image began.
    PullStarted {
        /// Its reference.
        image: String,
    },
    /// A base image was fetched.
    Pulled {
        /// Its reference.
        image: String,
        /// How many bytes came, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
    },
    /// A context or another file of the build was fetched, or had been before and has not changed.
    Fetched {
        /// Its address, without credentials.
        address: String,
    },
    /// A step of the Dockerfile began.
    StepStarted {
        /// Counts the steps of this platform from 1.
        step: u32,
        /// The instruction.
        instruction: String,
        /// The stage it belongs to, where the backend knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stage: Option<StepStage>,
    },
    /// A step printed something.
    StepOutput {
        /// The step.
        step: u32,
        /// What it printed: some whole lines, in any encoding.
        data: LogBytes,
    },
    /// A step ended well.
    StepFinished {
        /// The step.
        step: u32,
        /// Whether its result was there already.
        cached: bool,
        /// Where its time went, where the backend knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        work: Option<Box<StepWork>>,
    },
    /// A step failed, and the platform with it. What was stopped for that has no such event.
    StepFailed {
        /// The step.
        step: u32,
        /// Where its time went, where the backend knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        work: Option<Box<StepWork>>,
    },
    /// Something that a person should know, which stops nothing.
    Warned {
        /// One sentence.
        message: String,
    },
    /// A fault of the host or the network ended an attempt, and another will be made.
    Retried {
        /// The attempt that failed, from 1.
        attempt: u32,
        /// The wait before the next, in milliseconds.
        delay_ms: u64,
        /// What went wrong.
        error: BuildError,
    },
    /// A backend's actor was lost and a new one took its place.
    BackendRestarted {
        /// The backend.
        backend: BackendId,
    },
    /// The platform is in the store.
    ImageBuilt {
        /// The image.
        image: BuiltImage,
    },
    /// The platform ended without an image.
    PlatformFailed {
        /// Why.
        error: BuildError,
    },
    /// The index of all platforms is in the store.
    IndexAssembled {
        /// The index.
        index: Descriptor,
    },
    /// An output was written to a file or a directory.
    Exported {
        /// Its path.
        destination: String,
    },
    /// The steps of a cache elsewhere are known here.
    CacheImported {
        /// Its name in a registry, or its directory.
        place: String,
        /// How many steps there are.
        steps: usize,
    },
    /// The steps of the build were written to a cache elsewhere.
    CacheExported {
        /// Its name in a registry, or its directory.
        place: String,
        /// How many steps there are.
        steps: usize,
    },
    /// Writing to a registry began.
    PushStarted {
        /// Its host.
        registry: String,
    },
    /// A registry has everything but the tags.
    PushFinished {
        /// Its host.
        registry: String,
    },
    /// Bytes went to a registry.
    PushProgressed {
        /// Sent so far, blobs that the registry had already included.
        sent: u64,
        /// To be sent in all.
        total: u64,
    },
    /// A reference in a registry points at the index now.
    Pushed {
        /// The reference.
        reference: String,
        /// What it points at.
        digest: Digest,
    },
    /// The subscriber was too slow and will never see some events.
    Missed {
        /// How many.
        events: u64,
    },
    /// The build ended; no event follows.
    Finished {
        /// Absent when all went well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<BuildError>,
    },
}

/// Bytes that a step printed. Written as a text where they are UTF-8 and as `{"hex": "…"}` where not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LogText", into = "LogText")]
pub struct LogBytes(pub Vec<u8>);

impl LogBytes {
    /// The bytes as text, with a replacement character for whatever is not UTF-8.
    pub fn to_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum LogText {
    Text(String),
    Bytes { hex: String },
}

impl From<LogBytes> for LogText {
    fn from(bytes: LogBytes) -> Self {
        String::from_utf8(bytes.0).map_or_else(
            |not_text| {
                let nibbles = not_text.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]);
                let hex = nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect();
                Self::Bytes { hex }
            },
            Self::Text,
        )
    }
}

impl From<LogText> for LogBytes {
    fn from(text: LogText) -> Self {
        match text {
            LogText::Text(text) => Self(text.into_bytes()),
            LogText::Bytes { hex } => {
                let nibbles = hex.chars().filter_map(|digit| digit.to_digit(16));
                let nibbles: Vec<u8> = nibbles.filter_map(|nibble| u8::try_from(nibble).ok()).collect();
                Self(nibbles.chunks_exact(2).map(|pair| (pair[0] << 4) | pair[1]).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_any_bytes_reads_back() {
        for bytes in [&b"plain"[..], b"", b"\xff\x00\xfe", "größe\n".as_bytes()] {
            let data = LogBytes(bytes.to_vec());
            let json = serde_json::to_string(&data).expect("json");
            assert_eq!(serde_json::from_str::<LogBytes>(&json).expect("back"), data);
        }
        assert_eq!(serde_json::to_string(&LogBytes(vec![255, 1])).expect("json"), "{\"hex\":\"ff01\"}");
    }

    #[test]
    fn an_event_of_another_version_is_refused() {
        let json = r#"{"version":2,"build":"b","sequence":0,"time":0,"event":"queued","ahead":0}"#;
        let error = serde_json::from_str::<BuildEvent>(json).expect_err("version").to_string();
        assert!(error.contains("message version 2 is not known here"), "{error}");
        assert!(serde_json::from_str::<BuildEvent>(&json.replace(":2,", ":1,")).is_ok());
    }
}
